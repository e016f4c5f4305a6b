"""The command line's client of Azure's APIs: shapes of errors, busy services, changes at once.

A scripted server answers where a real one cannot be brought to: errors of Azure's own front ends,
and a service that is busy.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest
from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name
from tests.support.scripted_api import Script, scripted

from mooring.cli import companies, dps_collections
from mooring.cli.api import ApiError
from mooring.cli.azure_api import AzureApi, open_azure_api
from mooring.cli.dps_bulk import Bulk
from mooring.cli.dps_collections import GROUP, INDIVIDUAL, change
from mooring.cli.dps_resource import change_service
from mooring.cli.output import CommandError
from mooring.cloud.facts import RESOURCE_ID


@pytest.fixture
def script() -> Script:
    """Return a script without answers."""
    return Script()


@pytest.fixture
def api(script: Script) -> Generator[AzureApi]:
    """Return a client of the server that answers by `script`."""
    with scripted(script) as url, AzureApi(url, "token", resource_id=RESOURCE_ID) as client:
        yield client


def _refused(api: AzureApi) -> ApiError:
    with pytest.raises(ApiError) as refused:
        api.get_json("enrollments/gw01")
    assert refused.value.remedy
    return refused.value


# -- shapes of errors -----------------------------------------------------------------------------


def test_error_of_azures_service_is_named_by_its_number(script: Script, api: AzureApi) -> None:
    script.then(404, {"errorCode": 404201, "trackingId": "t-1", "message": "Enrollment not found."})
    error = _refused(api)
    assert (error.status, error.code) == (404, "enrollment-not-found")
    assert error.message == "Enrollment not found."
    ((method, path, _),) = script.requests
    assert (method, path) == ("GET", "/enrollments/gw01?api-version=2021-10-01")


def test_error_of_azures_front_end_is_read_too(script: Script, api: AzureApi) -> None:
    script.then(401, {"Message": "ErrorCode:Unauthorized;no", "ExceptionMessage": "Tracking ID:t"})
    error = _refused(api)
    assert (error.code, error.message) == ("http-401", "ErrorCode:Unauthorized;no")
    assert "--token" in error.remedy


def test_error_of_azure_resource_manager_is_read_without_mooring_s_parts(
    script: Script, api: AzureApi
) -> None:
    script.then(404, {"error": {"code": "ResourceNotFound", "message": "The Resource …"}})
    error = _refused(api)
    assert (error.code, error.message) == ("ResourceNotFound", "The Resource …")


def test_error_of_the_servers_own_tells_the_tracking_id(script: Script, api: AzureApi) -> None:
    script.then(500, {"errorCode": 500001, "trackingId": "t-77", "message": "Internal error."})
    error = _refused(api)
    assert error.code == "internal-error"
    assert "t-77" in error.message
    assert "log" in error.remedy


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"error": 5}'])
def test_error_that_is_no_apis_is_told_by_its_status(
    script: Script, api: AzureApi, body: bytes
) -> None:
    script.then(502, body)
    assert _refused(api).code == "http-502"


def test_answer_that_is_no_json_is_not_our_api(script: Script, api: AzureApi) -> None:
    script.then(200, b"<html>")
    with pytest.raises(CommandError) as refused:
        api.get_json("enrollments/gw01")
    assert refused.value.code == "not-our-api"


# -- pages ----------------------------------------------------------------------------------------


def test_query_follows_continuations_also_of_empty_pages(script: Script, api: AzureApi) -> None:
    script.then(200, [{"n": 1}], x_ms_continuation="a")
    script.then(200, [], x_ms_continuation="b")
    script.then(200, [{"n": 2}, {"n": 3}])
    assert [row["n"] for row in api.query("enrollments")] == [1, 2, 3]
    assert [path for _, path, _ in script.requests] == [
        "/enrollments/query?api-version=2021-10-01"
    ] * 3


def test_query_with_a_limit_asks_for_no_more(script: Script, api: AzureApi) -> None:
    script.then(200, [{"n": 1}, {"n": 2}, {"n": 3}], x_ms_continuation="a")
    script.then(200, [{"n": 4}], x_ms_continuation="b")
    assert [row["n"] for row in api.query("enrollments", limit=4)] == [1, 2, 3, 4]
    assert len(script.requests) == 2


# -- bulk operations ------------------------------------------------------------------------------


def _records(*names: str) -> list[dict[str, Any]]:
    return [{"registrationId": name} for name in names]


def test_bulk_waits_for_a_service_that_is_busy(script: Script, api: AzureApi) -> None:
    waited: list[float] = []
    bulk = Bulk(api, INDIVIDUAL, sleep=waited.append)
    busy = {"errorCode": 429001, "message": "Throttled."}
    script.then(429, busy, retry_after="7").then(503, busy).then(200, {"isSuccessful": True})
    assert bulk.send("create", _records("a")) == {}
    assert waited == [7, companies.WAIT_S]


def test_bulk_does_not_wait_for_ever(
    script: Script, api: AzureApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companies, "MAX_WAITS", 2)
    bulk = Bulk(api, INDIVIDUAL, sleep=lambda _: None)
    for _ in range(3):
        script.then(429, {"errorCode": 429001, "message": "Throttled."}, retry_after="100000")
    with pytest.raises(ApiError):
        bulk.send("create", _records("a"))


def test_bulk_that_is_refused_as_a_whole_finds_out_who_was_meant(
    script: Script, api: AzureApi
) -> None:
    bad = {"errorCode": 400004, "message": "b is bad."}
    script.then(400, bad).then(200, {"errors": []}).then(400, bad).then(400, bad)
    script.then(200, {"errors": []})
    refused = Bulk(api, INDIVIDUAL).send("create", _records("a", "x", "B", "c"))
    assert refused.keys() == {"b"}
    assert refused["b"].message.startswith("b is bad.")
    companies = [
        [record["registrationId"] for record in body["enrollments"]]
        for _, _, body in script.requests
    ]
    assert companies == [["a", "x", "B", "c"], ["a", "x"], ["B", "c"], ["B"], ["c"]]


def test_bulk_refused_for_the_caller_is_nobodys_record(script: Script, api: AzureApi) -> None:
    script.then(403, {"errorCode": 403002, "message": "No."})
    with pytest.raises(ApiError):
        Bulk(api, INDIVIDUAL).send("create", _records("a", "b"))


def test_companies_are_of_ten_or_of_what_fits_and_hold_no_id_twice(api: AzureApi) -> None:
    bulk = Bulk(api, GROUP)

    def companies(*sizes: int) -> list[int]:
        records = [
            {"enrollmentGroupId": str(number), "x": "y" * size} for number, size in enumerate(sizes)
        ]
        found = list(bulk.companies(records))
        assert [record for company in found for record in company] == records
        return [len(company) for company in found]

    assert companies() == []
    assert companies(*[1] * 25) == [10, 10, 5]
    assert companies(40_000, 40_000, 1, 100_000, 1) == [1, 2, 1, 1]
    twice = [{"enrollmentGroupId": name} for name in ("a", "b", "A", "c")]
    assert [len(company) for company in bulk.companies(twice)] == [2, 2]


# -- changes at once ------------------------------------------------------------------------------


def test_changes_at_once_all_stay(mooring: CommandLine) -> None:
    name = fresh_name("contended")
    mooring.text("dps", "enrollment", "add", "--symmetric-key", "--registration-id", name)
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with open_azure_api(mooring.state) as api:
                for number in range(8):
                    change(api, INDIVIDUAL, name, _tagging(f"tag{worker}-{number}"))
        except BaseException as error:  # shown by the assertion below
            failures.append(error)

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert failures == []
    tags = mooring.json("dps", "enrollment", "show", name)["initialTwin"]["tags"]
    assert tags.keys() == {f"tag{worker}-{number}" for worker in range(2) for number in range(8)}


def _tagging(tag: str) -> Any:
    def apply(record: dict[str, Any]) -> None:
        record.setdefault("initialTwin", {}).setdefault("tags", {})[tag] = True

    return apply


def test_change_gives_up_when_others_are_always_quicker(
    script: Script, api: AzureApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dps_collections, "MAX_PAUSE_S", 0.001)
    stale = {"errorCode": 412001, "message": "The etag is not the current one."}
    for _ in range(dps_collections.MAX_TRIES):
        script.then(200, {"etag": "a"}).then(412, stale)
    with pytest.raises(ApiError) as refused:
        change(api, INDIVIDUAL, "gw01", lambda record: record.update(deviceId="x"))
    assert refused.value.status == 412
    assert script.answers == []


def test_change_for_an_etag_of_the_callers_is_tried_once(script: Script, api: AzureApi) -> None:
    stale = {"errorCode": 412001, "message": "The etag is not the current one."}
    script.then(200, {"etag": "b"}).then(412, stale)
    with pytest.raises(ApiError):
        change(api, INDIVIDUAL, "gw01", lambda _: None, if_match="a")
    assert len(script.requests) == 2


def test_service_that_another_client_changed_is_read_again(script: Script, api: AzureApi) -> None:
    stale = {"error": {"code": "etag-mismatch", "message": "It has changed."}}
    script.then(200, {"etag": "a", "properties": {"iotHubs": [1]}}).then(412, stale)
    script.then(200, {"etag": "b", "properties": {"iotHubs": [1, 2]}}).then(200, {"etag": "c"})
    changed = change_service(api, lambda found: {"iotHubs": [*found["iotHubs"], 3]})
    assert changed == {"etag": "c"}
    assert script.if_match == [None, "a", None, "b"]
    assert script.requests[-1][2] == {"properties": {"iotHubs": [1, 2, 3]}}
