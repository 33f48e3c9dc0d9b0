"""Values are kept for the container that has them, dropped with their store, and taken out of errors."""

from __future__ import annotations

import pytest

from ecscope.agent.executors.secret_values import SecretValues
from ecscope.model.container import NamedError, Secret, SecretStore
from tests.builders import a_definition, an_arn

ASM, SSM = SecretStore.SECRETS_MANAGER, SecretStore.PARAMETER_STORE
ONE, TWO = Secret(name="A", store=ASM, value_from="a"), Secret(name="B", store=SSM, value_from="b")


def test_the_same_value_serves_every_name() -> None:
    values = SecretValues()
    values.keep(an_arn(1), {ONE: "hunter2"})
    values.keep(an_arn(1), {TWO: "swordfish"})
    again = Secret(name="C", store=ASM, value_from="a", is_log_option=True)
    assert values.of(an_arn(1), a_definition(secrets=(TWO, again))) == {TWO: "swordfish", again: "hunter2"}
    assert "hunter2" not in repr(values)
    with pytest.raises(LookupError, match="no values of A for container app"):
        values.of(an_arn(2), a_definition(secrets=(ONE,)))


def test_a_store_is_dropped_and_the_other_stays() -> None:
    values = SecretValues()
    values.keep(an_arn(1), {ONE: "hunter2", TWO: "swordfish"})
    values.drop(an_arn(1), ASM)
    values.drop(an_arn(2), ASM)
    assert values.of(an_arn(1), a_definition(secrets=(TWO,))) == {TWO: "swordfish"}
    with pytest.raises(LookupError):
        values.of(an_arn(1), a_definition(secrets=(ONE,)))


def test_errors_do_not_quote_them() -> None:
    values = SecretValues()
    values.keep(an_arn(1), {ONE: "hunter", TWO: "hunter2"})
    values.keep(an_arn(2), {ONE: "a"})
    error = NamedError(name="E", message="bad option hunter2, not hunter: a word")
    assert str(values.hidden_in(an_arn(1), error)) == "E: bad option …, not …: a word"
    assert values.hidden_in(an_arn(2), error) == error
