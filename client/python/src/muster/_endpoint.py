"""Where the cluster is and how to authenticate, by the rules of the command line (client/connection.h): arguments
override environment variables, which override ~/.config/muster/config.yaml, which overrides the cluster that `muster
local` remembers."""
from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

import yaml

from . import _names
from .errors import InvalidArgumentError

_CONFIG = "~/.config/muster/config.yaml"
_KEYS = ("address", "certs", "token_file", "insecure")
# Texts that YAML 1.1 and yaml-cpp read as a truth value.
_TRUTHS = {**dict.fromkeys(("y", "yes", "true", "on"), True), **dict.fromkeys(("n", "no", "false", "off"), False)}


@dataclass(frozen=True)
class Settings:
    """The settings from one place. Empty: not given."""
    address: str = ""
    certs: str = ""
    token: str = ""
    token_file: str = ""
    insecure: bool = False


@dataclass(frozen=True)
class Endpoint:
    """`certs`: a folder; empty without TLS. `token` or `token_file` at most."""
    address: str
    certs: str = ""
    token: str = ""
    token_file: str = ""
    insecure: bool = False


def config_folder(environment: Mapping[str, str]) -> Optional[pathlib.Path]:
    """$XDG_CONFIG_HOME/muster, or ~/.config/muster."""
    if environment.get("XDG_CONFIG_HOME"):
        return pathlib.Path(environment["XDG_CONFIG_HOME"]) / "muster"
    return pathlib.Path(environment["HOME"]) / ".config/muster" if environment.get("HOME") else None


def _path_in_config(text: str, folder: pathlib.Path, home: str) -> str:
    if text == "~" or text.startswith("~/"):
        return home + text[1:]
    return os.path.normpath(folder / text) if text else ""


def parse_config(text: str, file: pathlib.Path, home: str = "") -> Settings:
    """Settings of config.yaml. Relative paths start at the file's folder."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InvalidArgumentError(f"{file}:{mark.line + 1 if mark else 1}: {getattr(error, 'problem', None) or error}") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value in ("", "~", "null")):
        return Settings()
    if not isinstance(root, yaml.MappingNode):
        raise InvalidArgumentError(f"{file}: must be keys and values")
    found: dict[str, str] = {}
    insecure = False
    for key_node, value in root.value:
        key, place = key_node.value, f"{file}:{key_node.start_mark.line + 1}"
        if not isinstance(value, yaml.ScalarNode):
            raise InvalidArgumentError(f"{place}: {key}: must be a single value.")
        if key == "insecure":
            if value.value.lower() not in _TRUTHS:
                raise InvalidArgumentError(f'{place}: insecure: "{value.value}" is not true or false.')
            insecure = _TRUTHS[value.value.lower()]
        elif key == "address":
            found[key] = value.value
        elif key in _KEYS:
            found[key] = _path_in_config(value.value, file.parent, home)
        else:
            raise InvalidArgumentError(f'{place}: unknown key "{key}". {_names.allowed(key, _KEYS)}')
    return Settings(insecure=insecure, **found)


def parse_remembered(text: str, file: pathlib.Path) -> Settings:
    """The cluster of local.yaml, which `muster local` writes while it runs."""
    try:
        root = yaml.safe_load(text)
        return Settings(address=str(root["address"]), certs=str(root["certs"]), token_file=str(root["token_file"]))
    except (yaml.YAMLError, KeyError, TypeError):
        raise InvalidArgumentError(f"{file}: is not a file that muster local wrote. Remove it, or name a cluster with address=.") from None


def resolve(given: Settings, environment: Mapping[str, str], config: Settings, remembered: Optional[Settings] = None) -> Endpoint:
    """Takes each setting from the first place that has it. The remembered cluster is used as a whole, with its own
    certificates and token, if no other place names an address. `insecure=True` overrides the certificates and tokens of
    environment and file, and is refused together with a token argument."""
    address = given.address or environment.get("MUSTER_ADDRESS") or config.address
    variables = environment
    if not address and remembered is not None:
        address, variables = remembered.address, {}  # certificates and tokens of the environment are for another cluster
        config = Settings(certs=remembered.certs, token_file="" if given.certs else remembered.token_file)
    if not address:
        raise InvalidArgumentError(f"no cluster is named. Give address=\"HOST:PORT\", set MUSTER_ADDRESS, or set address in {_CONFIG}; "
                                   "or start a cluster: muster local.")
    port = re.fullmatch(r"(?:\[[^\]]+\]|[^:\[\]]+):(\d{1,5})", address)
    if not port or not 1 <= int(port[1]) <= 65535:
        raise InvalidArgumentError(f'address "{address}" is not HOST:PORT, with a port from 1 to 65535.')
    certs = given.certs or variables.get("MUSTER_CERTS") or config.certs
    if given.insecure or (config.insecure and not certs):
        if given.token or given.token_file:
            raise InvalidArgumentError("a token is not sent without TLS. Leave out insecure, or the token.")
        return Endpoint(address, insecure=True)
    token, token_file = given.token, given.token_file
    if token and token_file:
        raise InvalidArgumentError("token and token_file: give one of them.")
    if not token and not token_file:
        token_file = variables.get("MUSTER_TOKEN_FILE") or ""
        token = "" if token_file else variables.get("MUSTER_TOKEN") or ""
        token_file = token_file if token or token_file else config.token_file
    if not certs:
        raise InvalidArgumentError(f"no certificates are named. Give certs=\"DIR\", set MUSTER_CERTS, or set certs in {_CONFIG}; "
                                   "or give insecure=True for a cluster without TLS.")
    return Endpoint(address, certs, token, token_file)


def find(given: Settings, environment: Mapping[str, str]) -> Endpoint:
    """`resolve` with the files of the configuration folder."""
    folder = config_folder(environment)
    config, remembered, unreadable = Settings(), None, None
    if folder is not None:
        config_file, local_file = folder / "config.yaml", folder / "local.yaml"
        if config_file.is_file():
            config = parse_config(config_file.read_text(encoding="utf-8"), config_file, environment.get("HOME", ""))
        try:
            if local_file.is_file():
                remembered = parse_remembered(local_file.read_text(encoding="utf-8"), local_file)
        except InvalidArgumentError as error:
            unreadable = error
    # A remembered file that cannot be read matters only where no other place names the cluster.
    if unreadable is not None and not (given.address or environment.get("MUSTER_ADDRESS") or config.address):
        raise unreadable
    return resolve(given, environment, config, remembered)


def reachable(address: str, coordinator: str) -> str:
    """A server that listens on all addresses (0.0.0.0, [::]) is reached at the coordinator's host."""
    host, _, port = address.rpartition(":")
    return f"{coordinator.rpartition(':')[0]}:{port}" if host in ("0.0.0.0", "[::]") else address
