"""The page of all settings is the one that the code would write, and every setting is told on it."""

from pathlib import Path

from ecscope.agent.config.settings import SETTINGS, Config
from generate_config_reference import SECTIONS, SOURCE, TARGET, meanings_of_fields, reference

ROOT = Path(__file__).parents[4]


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text() == reference(), "run `python scripts/generate_config_reference.py`"


def test_every_field_says_what_it_means() -> None:
    meanings = meanings_of_fields(SOURCE.read_text())
    assert set(meanings) == set(Config.__struct_fields__)
    assert all(meaning.endswith((".", ")")) for meaning in meanings.values())


def test_every_setting_is_on_the_page() -> None:
    lines = TARGET.read_text().splitlines()
    assert {setting.section for setting in SETTINGS} == set(SECTIONS)
    for setting in SETTINGS:
        assert sum(line.startswith("|") and f"`{setting.name}`" in line for line in lines) >= 1


def test_the_guide_names_the_files_that_are_read() -> None:
    guide = (ROOT / "docs" / "configuration.md").read_text()
    for named in ("/etc/ecs/ecs.config", "/etc/ecs_container_agent/config.json", "ECS_AGENT_CONFIG_FILE_PATH"):
        assert named in guide
