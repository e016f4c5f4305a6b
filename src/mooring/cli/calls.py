"""The frame of every command that talks to an API: which one, as whom, how trouble is shown.

A command takes a `Call` of the right kind as its first parameter and opens the API with it::

    @command(app, "list")
    def list_hubs(call: CloudCall) -> None:
        with call.api() as api:
            found = api.get_json("hubs")["value"]
        call.show_table(found, "hubs", ("name", "host name"), …)

The options that all of them share (state folder, address, token, trust, --json) are added to its
own, and whatever it raises is shown in the words of the surface.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, ClassVar, Concatenate, ParamSpec, TypeVar

import typer

from mooring.cli.api import ApiClient, Part, open_api
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

P = ParamSpec("P")
C = TypeVar("C", bound="Call")


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a command: whom it talks to, and how its answer is shown."""

    state: Path
    url: str | None
    token: str | None
    trust: Path | None
    as_json: bool

    url_help: ClassVar[str] = "Address of the API, instead of the one in the state folder."
    part: ClassVar[Part] = "cloud"

    def api(self) -> ApiClient:
        """Return a client of the API, to be used in a `with` block.

        Raises:
            CommandError: It is not known where it is, or there is no token for it.
        """
        return open_api(self.part, self.state, self.url, self.token, self.trust)

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


class CloudCall(Call):
    """A call of the cloud's admin API."""

    __slots__ = ()


class GatewayCall(Call):
    """A call of the gateway's REST interface."""

    __slots__ = ()
    part: ClassVar[Part] = "gateway"


def command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[Concatenate[C, P], None]], Callable[Concatenate[C, P], None]]:
    """Return a decorator that makes a function a command of `app`, named as it unless `name` is
    given."""

    def decorate(
        function: Callable[Concatenate[C, P], None],
    ) -> Callable[Concatenate[C, P], None]:
        app.command(name or function.__name__)(_with_shared_options(function))
        return function

    return decorate


def _with_shared_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` with the options of a `Call` in place of its first parameter."""
    first, *own = signature(function, eval_str=True).parameters.values()
    kind: type[Call] = first.annotation

    def run(**given: Any) -> None:
        call = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        try:
            function(call, **given)
        except (CommandError, PkiError) as error:
            exit_with_error(error, as_json=call.as_json)

    url_option = Annotated[str | None, typer.Option("--url", help=kind.url_help)]
    parameters = [
        # By keyword, so that an option without a default may stand behind one with a default.
        *(parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own),
        _option("state", StateOption),
        _option("url", url_option, None),
        _option("token", TokenOption, None),
        _option("trust", TrustOption, None),
        _option("as_json", JsonOption, False),
    ]
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    return run


def _option(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
