"""What a device is subscribed to, as a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.cloud.hub.mqtt import subscriptions as subs
from mooring.protocol.azure.hub_topics import HubFilter

STEPS = st.lists(st.tuples(st.sampled_from(HubFilter), st.sampled_from([None, 0, 1])), max_size=20)


@given(STEPS)
def test_number_says_what_a_table_would(steps: list[tuple[HubFilter, int | None]]) -> None:
    table: dict[HubFilter, int] = {}
    number = subs.NONE
    for wanted, qos in steps:
        if qos is None:
            table.pop(wanted, None)
            number = subs.without_filter(number, wanted)
        else:
            table[wanted] = qos
            number = subs.with_filter(number, wanted, qos)

    assert {wanted: subs.granted_qos(number, wanted) for wanted in HubFilter} == {
        wanted: table.get(wanted) for wanted in HubFilter
    }
    assert (number == subs.NONE) == (not table)


@given(STEPS, STEPS)
def test_common_is_what_both_have_at_the_qos_of_the_latter(
    added: list[tuple[HubFilter, int | None]], now: list[tuple[HubFilter, int | None]]
) -> None:
    first, second = (
        {wanted: qos for wanted, qos in steps if qos is not None} for steps in (added, now)
    )
    numbers = []
    for table in (first, second):
        number = subs.NONE
        for wanted, qos in table.items():
            number = subs.with_filter(number, wanted, qos)
        numbers.append(number)

    common = subs.common(*numbers)

    assert {
        w: subs.granted_qos(common, w) for w in HubFilter if subs.granted_qos(common, w) is not None
    } == {wanted: qos for wanted, qos in second.items() if wanted in first}


def test_number_that_is_on_disk_keeps_its_meaning() -> None:
    assert subs.with_filter(0, HubFilter.DEVICEBOUND, 1) == 0b10
    assert subs.with_filter(0, HubFilter.METHODS, 0) == 0b0100
    assert subs.with_filter(0, HubFilter.TWIN_RESPONSES, 1) == 0b100000
    assert subs.with_filter(0, HubFilter.DESIRED_PATCHES, 0) == 0b01000000
    assert subs.with_filter(0, HubFilter.INPUTS, 1) == 0b1000000000
