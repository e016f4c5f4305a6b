"""The frame of every command that talks to an API: which one, as whom, how trouble is shown.

A command takes a `Call` of the right kind as its first parameter and opens the API with it::

    @command(app, "list")
    def list_hubs(call: CloudCall) -> None:
        with call.api() as api:
            found = api.get_json("hubs")["value"]
        call.show_table(found, "hubs", ("name", "host name"), …)

Whatever it raises is shown in the words of the surface. A call is a group of options: a dataclass
whose fields are options, declared once and taken by many commands as one parameter. A command may
take other such groups besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, ClassVar, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from mooring.cli.api import ApiClient, Part
from mooring.cli.api_access import open_api
from mooring.cli.azure_api import AzureApi, open_azure_api
from mooring.cli.hub_api import HubApi, open_hub_api, open_hub_resource_api
from mooring.cli.options import StateOption, TokenOption, TrustOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_facts,
    print_hint,
    print_table,
)
from mooring.pki.errors import PkiError
from mooring.protocol.azure.errors import AzureError

P = ParamSpec("P")
C = TypeVar("C", bound="Call")

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Address of the API, instead of the one in the state folder."),
]
AdminUrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Address of the cloud's admin API (api_url of `mooring cloud info`), instead of the "
        "one in the state folder.",
    ),
]
HttpsUrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="HTTPS address of the cloud (service_url of `mooring cloud info`), instead of the "
        "one in the state folder.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One run of a command: whom it talks to, and how its answer is shown."""

    state: StateOption
    url: UrlOption = None
    token: TokenOption = None
    trust: TrustOption = None
    as_json: JsonOption = False

    def api(self) -> ApiClient:
        """Return a client of the API, to be used in a `with` block.

        Raises:
            CommandError: It is not known where it is, or there is no token for it.
        """
        raise NotImplementedError

    def show(
        self,
        found: dict[str, Any],
        facts: Callable[[dict[str, Any]], Mapping[str, object]],
        *,
        hint: str | None = None,
    ) -> None:
        """Print one record, as JSON whole or as the facts a person wants, and what comes next."""
        if self.as_json:
            emit_json(found)
            return
        print_facts({name: value for name, value in facts(found).items() if value is not None})
        if hint:
            print_hint(hint)

    def show_table(
        self,
        found: Sequence[dict[str, Any]],
        title: str,
        columns: Sequence[str],
        row: Callable[[dict[str, Any]], Sequence[object]],
    ) -> None:
        """Print records, as JSON whole or as a table of what `row` takes from each."""
        if self.as_json:
            emit_json(found)
        else:
            print_table(title, columns, [row(record) for record in found])

    def say(self, document: Any, sentence: str, *, hint: str | None = None) -> None:
        """Print what was done, as JSON or in a sentence, and what comes next."""
        if self.as_json:
            emit_json(document)
            return
        console.print(sentence, markup=False, soft_wrap=True)
        if hint:
            print_hint(hint)


@dataclass(frozen=True, kw_only=True)
class AdminCall(Call):
    """A call of the REST interface of a cloud or of a gateway."""

    part: ClassVar[Part]

    def api(self) -> ApiClient:
        """Return a client of that API; see `Call.api`."""
        return open_api(self.part, self.state, self.url, self.token, self.trust)


@dataclass(frozen=True, kw_only=True)
class CloudCall(AdminCall):
    """A call of the cloud's admin API."""

    url: AdminUrlOption = None

    part: ClassVar[Part] = "cloud"


@dataclass(frozen=True, kw_only=True)
class GatewayCall(AdminCall):
    """A call of the gateway's REST interface."""

    part: ClassVar[Part] = "gateway"


@dataclass(frozen=True, kw_only=True)
class DpsCall(Call):
    """A call of DPS's service API or resource API.

    `group` is the command group that the call belongs to, for hints of what comes next.
    """

    group: ClassVar[str] = "mooring dps"

    url: HttpsUrlOption = None

    def api(self) -> AzureApi:
        """Return a client of both APIs; see `Call.api`."""
        return open_azure_api(self.state, self.url, self.token, self.trust)


@dataclass(frozen=True, kw_only=True)
class HubCall(Call):
    """A call of a hub's service API."""

    url: HttpsUrlOption = None
    hub: Annotated[
        str | None,
        typer.Option(
            "--hub",
            help="Name of the hub, the first one unless given; with --url its host name, that of "
            "the URL unless given.",
        ),
    ] = None

    def api(self) -> HubApi:
        """Return a client of that API; see `Call.api`."""
        return open_hub_api(self.state, self.url, self.token, self.trust, self.hub)


@dataclass(frozen=True, kw_only=True)
class HubResourceCall(DpsCall):
    """A call of the resource API for a hub, which takes the same calls as for a DPS."""

    group: ClassVar[str] = "mooring hub"

    hub: Annotated[
        str | None,
        typer.Option(
            "--hub", help="Name of the hub, the first one unless given; needed with --url."
        ),
    ] = None

    def api(self) -> AzureApi:
        """Return a client of that API, whose `resource` is the hub; see `Call.api`."""
        return open_hub_resource_api(self.state, self.url, self.token, self.trust, self.hub)


def command(
    app: typer.Typer, name: str | None = None, *, call: type[Call] | None = None
) -> Callable[[Callable[Concatenate[C, P], None]], Callable[Concatenate[C, P], None]]:
    """Return a decorator that makes a function a command of `app`.

    Its name is that of the function, unless `name` is given. `call` is the kind of call to hand
    to it, where that is another than the one it is written for.
    """

    def decorate(
        function: Callable[Concatenate[C, P], None],
    ) -> Callable[Concatenate[C, P], None]:
        app.command(name or function.__name__)(_framed(function, call))
        return function

    return decorate


def _framed(function: Callable[..., None], kind: type[Call] | None) -> Callable[..., None]:
    """Return `function` with the options of its groups in their place, and errors shown."""
    call, *own = signature(function, eval_str=True).parameters.values()
    call = call if kind is None else call.replace(annotation=kind)
    # The call's options are the same everywhere, and stand behind those that are not.
    groups = {parameter.name: parameter.annotation for parameter in (*own, call)}
    parameters = [option for parameter in (*own, call) for option in _options(parameter)]

    def run(**given: Any) -> None:
        arguments = {
            name: _gathered(group, given) if is_dataclass(group) else given[name]
            for name, group in groups.items()
        }
        try:
            function(**arguments)
        except (CommandError, PkiError, AzureError) as error:
            exit_with_error(error, as_json=given["as_json"])

    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    return run


def _options(parameter: Parameter) -> list[Parameter]:
    """Return the options of a group, or the parameter itself."""
    # By keyword, so that an option without a default may stand behind one with a default.
    if not is_dataclass(parameter.annotation):
        return [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
    hints = get_type_hints(parameter.annotation, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(parameter.annotation)
    ]


def _gathered(group: Any, given: Mapping[str, Any]) -> Any:
    return group(**{field.name: given[field.name] for field in fields(group)})
