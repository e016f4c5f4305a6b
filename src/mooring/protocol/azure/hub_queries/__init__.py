"""The query language of IoT Hub: ``SELECT … FROM devices WHERE … GROUP BY …``.

Azure: "IoT Hub query language for device and module twins, jobs, and message routing" has a
grammar; where it leaves something open, what its SDKs, tools and samples send is understood.
``parse_hub_query`` reads a text into the tree of ``tree``; nothing is evaluated here.
"""

from mooring.protocol.azure.hub_queries.parser import parse_hub_query
from mooring.protocol.azure.hub_queries.tree import HubQuery

__all__ = ["HubQuery", "parse_hub_query"]
