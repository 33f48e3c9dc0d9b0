"""The table of settings is well formed: every name once, every reference to a field or form one that exists."""

from ecscope.agent.config.setting_type import UNSUPPORTED, UNSUPPORTED_KEYS, Setting
from ecscope.agent.config.settings import SETTINGS, Config
from tests.tables import each_row


def test_names_are_unique() -> None:
    variables = [setting.variable for setting in SETTINGS if setting.variable]
    variables += [name for names in UNSUPPORTED.values() for name in names]
    keys = [key for setting in SETTINGS for key in setting.json_keys] + list(UNSUPPORTED_KEYS)
    keys += [setting.deprecated_key for setting in SETTINGS if setting.deprecated_key]
    fields = [setting.field for setting in SETTINGS]
    for names in (variables, keys, fields):
        assert len(names) == len(set(names))
    assert len({key.lower() for key in keys}) == len(keys)


@each_row("setting", SETTINGS, name=lambda setting: setting.field)
def test_a_setting_has_a_name_and_a_field(setting: Setting) -> None:
    assert setting.name == (setting.variable or setting.json_keys[0])
    assert hasattr(Config(), setting.field)
    if setting.bounds is not None:
        assert setting.bounds.maximum is None or setting.bounds.minimum < setting.bounds.maximum
        assert not setting.bounds.only_with or isinstance(getattr(Config(), setting.bounds.only_with), bool)
        assert setting.bounds.minimum <= getattr(Config(), setting.field)


@each_row("setting", [s for s in SETTINGS if s.json_keys], name=lambda setting: setting.field)
def test_a_setting_with_a_key_reads_json(setting: Setting) -> None:
    nothing = None if len(setting.json_keys) == 1 else (None, None)
    assert setting.form.read_json(nothing) is None


@each_row("setting", [s for s in SETTINGS if not s.json_keys], name=lambda setting: setting.field)
def test_a_setting_without_a_key_is_never_read_from_json(setting: Setting) -> None:
    assert setting.form.read_text("") is None
