"""The scope: what the spans that start inside a block carry."""

from __future__ import annotations

from opentelemetry.context import Context

from peekr.context import NO_SCOPE, Scope, current_scope, with_scope


def test_without_a_scope_there_is_the_empty_one() -> None:
    assert current_scope() is NO_SCOPE
    assert current_scope(Context()) is NO_SCOPE
    assert NO_SCOPE.attributes() == {}


def test_a_scope_goes_along_with_its_context_alone() -> None:
    scope = Scope(session_id="s", tenant_id="t")
    context = with_scope(scope)
    assert current_scope(context) is scope
    assert current_scope() is NO_SCOPE
    assert current_scope(with_scope(NO_SCOPE, context)) == NO_SCOPE


def test_each_field_is_an_attribute() -> None:
    assert Scope._make((*"abcdefg", None)).attributes() == {
        "session.id": "a",
        "gen_ai.conversation.id": "a",
        "user.id": "b",
        "peekr.tenant_id": "c",
        "peekr.retention_class": "d",
        "peekr.experiment.variant": "e",
        "peekr.feature": "f",
        "peekr.endpoint": "g",
    }


def test_what_is_not_set_is_no_attribute() -> None:
    assert Scope(user_id="u").attributes() == {"user.id": "u"}
    assert Scope(feature="").attributes() == {"peekr.feature": ""}
