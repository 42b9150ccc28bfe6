"""Settings: profiles, overrides, refusals."""

import pytest

from reference_server.errors import SetupError
from reference_server.settings import describe_settings, rules, settings_for


def test_profiles_hold_what_the_source_practice_and_the_optimised_service_do() -> None:
    """The two profiles differ exactly in the optimisations."""
    baseline, optimized = settings_for("baseline").as_dict(), settings_for("optimized").as_dict()
    changed = {key: (baseline[key], optimized[key]) for key in baseline}
    assert {key: pair for key, pair in changed.items() if pair[0] != pair[1]} == {
        "precision": ("fp32", "auto"),
        "batching": ("off", "dynamic"),
        "breaker_failures": (0, 5),
        "cache_entries": (0, 1000),
        "single_flight": ("off", "on"),
        "serializer": ("json", "orjson"),
        "event_loop": ("asyncio", "uvloop"),
        "http_parser": ("h11", "httptools"),
    }


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        pytest.param("cache_entries=7", "cache_entries", 7, id="whole"),
        pytest.param("max_wait_ms=2.5", "max_wait_ms", 2.5, id="fraction"),
        pytest.param("batching=off", "batching", "off", id="word"),
        pytest.param("cache_url=redis://h:1/2", "cache_url", "redis://h:1/2", id="text"),
        pytest.param("cache_url=", "cache_url", "", id="no-text"),
        pytest.param("max_wait_ms=1000", "max_wait_ms", 1000.0, id="upper-bound"),
    ],
)
def test_each_switch_is_set_alone(override: str, key: str, value: object) -> None:
    settings = settings_for("optimized", [override]).as_dict()
    assert settings == settings_for("optimized").as_dict() | {key: value}


def test_the_last_override_wins() -> None:
    assert settings_for("baseline", ["max_queue=1", "max_queue=2"]).max_queue == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("cache=1", "unknown setting 'cache'; allowed: engine, precision,", id="key"),
        pytest.param(
            "batching=on", "batching='on' is not allowed; allowed: off|dynamic", id="word"
        ),
        pytest.param("cache_url=http://h", "allowed: redis://HOST[:PORT][/DB]", id="form"),
        pytest.param("max_queue=0", "max_queue='0' is not allowed; allowed: 1..1000000", id="low"),
        pytest.param("max_queue=x", "max_queue='x' is not allowed", id="not-a-number"),
        pytest.param("max_queue=1.5", "max_queue='1.5' is not allowed", id="not-whole"),
        pytest.param("max_wait_ms=nan", "allowed: 0..1000 ms", id="nan"),
        pytest.param("max_queue", "--set takes KEY=VALUE, got 'max_queue'", id="no-value"),
    ],
)
def test_a_wrong_override_is_refused(override: str, message: str) -> None:
    with pytest.raises(SetupError) as refused:
        settings_for("optimized", [override])
    assert message in str(refused.value)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(SetupError, match="unknown profile 'fast'; allowed: baseline, optimized"):
        settings_for("fast")


def test_the_table_names_every_setting_with_a_line_of_help() -> None:
    lines = describe_settings().splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(rules())
    assert all(rule.help for rule in rules().values())


@pytest.mark.parametrize("profile", ["baseline", "optimized"])
def test_the_profiles_pass_their_own_rules(profile: str) -> None:
    for key, rule in rules().items():
        assert rule.parse(key, str(rule.profiles[profile])) == rule.profiles[profile]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://:secret@h:1", "redis://***@h:1", id="password"),
        pytest.param("redis://u:a@b@h", "redis://***@h", id="at-in-password"),
        pytest.param("redis://h:1", "redis://h:1", id="none"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert settings_for("optimized", [f"cache_url={url}"]).shown()["cache_url"] == shown
