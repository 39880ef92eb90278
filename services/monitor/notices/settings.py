"""What the notices are told by the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.monitor.notices.channels import load_channels

URL_CHARS_MAX: Final = 500


class NoticeSettings(BaseSettings):
    """Settings of the notices, a part of the monitor's."""

    model_config = SettingsConfigDict(env_prefix="AETHER_", extra="ignore", frozen=True, use_attribute_docstrings=True)

    notices: Path | None = None
    """YAML document of the channels on which people are told; without it nobody is."""
    console_url: str | None = None
    """Address of the console as people's browsers reach it, such as `https://aether.example.org`, for the links in
    notices."""

    @field_validator("notices")
    @classmethod
    def _can_be_used(cls, path: Path | None) -> Path | None:
        if path is not None:
            load_channels(path)
        return path

    @field_validator("console_url")
    @classmethod
    def _is_web_address(cls, text: str | None) -> str | None:
        if text is None or text == "":
            return None
        if not text.startswith(("https://", "http://")) or not text.isprintable() or " " in text:
            raise ValueError("is no web address; write https://aether.example.org")
        if len(text) > URL_CHARS_MAX:
            raise ValueError(f"has {len(text)} characters, {URL_CHARS_MAX} are allowed")
        return text.rstrip("/")
