from __future__ import annotations

from fixtures.command_line import done, refused

from hargcn.pipeline.settings import settings_reference


def test_one_setting_a_section_and_the_page():
    told = "model.width (integer from 4, up to 4096, default 48)\n"
    assert done("settings", "model.width").startswith(told)
    assert done("settings", "train") == settings_reference("train")
    assert done("settings", "--markdown") == settings_reference(markdown=True)
    assert "did you mean 'train.epochs'" in refused("settings", "train.epoch")
