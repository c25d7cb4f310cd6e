"""What in a prompt is no text: how many tokens an image is, where its provider says."""

from __future__ import annotations

import binascii
import re
import struct
from base64 import b64decode
from collections.abc import Mapping
from math import ceil, floor, sqrt
from typing import Any, Final

from hivecost.compaction.shapes import Message, name_of

#: What an image, a sound or a file is taken for where nobody publishes a rule, or its size cannot be seen: the most
#: that Claude takes for one image.
MEDIA_TOKENS: Final = 1_600

#: Types of parts that are no text, whoever's they are.
MEDIA_TYPES: Final = frozenset(
    {
        "image",
        "image_url",
        "input_image",
        "input_audio",
        "audio",
        "file",
        "input_file",
        "document",
        "video",
        "video_url",
    }
)

#: Texts that only a provider can read, by the type of their part; they are billed by rules that its own count knows.
_OPAQUE: Final = {
    "thinking": "signature",
    "redacted_thinking": "data",
    "reasoning": "encrypted_content",
    "compaction": "encrypted_content",
}
#: Nothing that is sent is nested deeper.
_DEPTH_MAX: Final = 32

#: https://platform.openai.com/docs/guides/images-vision#calculating-costs: tokens of each image, and of each tile.
_TILES: Final = (
    (re.compile(r"gpt-4o-mini"), 2_833, 5_667),
    (re.compile(r"gpt-(?:4o|4\.1|4\.5)(?!-(?:mini|nano))"), 85, 170),
    (re.compile(r"gpt-5(?!-(?:mini|nano))"), 70, 140),
    (re.compile(r"o[13](?!-mini)"), 75, 150),
)
#: The same: how many tokens one patch of 32 x 32 is billed as; 1,536 patches at most.
_PATCHES: Final = (
    (re.compile(r"gpt-(?:5|4\.1)-mini"), 1.62),
    (re.compile(r"gpt-(?:5|4\.1)-nano"), 2.46),
    (re.compile(r"o4-mini"), 1.72),
)
_PATCHES_MAX: Final = 1_536
#: https://platform.claude.com/docs/en/build-with-claude/vision: width x height / 750, at most 1,568 pixels a side.
_CLAUDE: Final = re.compile(r"claude")
_CLAUDE_SIDE_MAX: Final = 1_568
_CLAUDE_PIXELS: Final = 750

#: Of base64 that is looked at for the size of an image: a JPEG may have a thumbnail in front.
_LOOKED_AT: Final = 87_384


def text_alone(value: Any, model: str, media: list[int], depth: int = 0) -> Any:
    """Return what of a message is text; how many tokens the rest is goes to `media`, part by part."""
    if depth > _DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        kind = name_of(value.get("type"))
        if kind in MEDIA_TYPES:
            media.append(media_tokens(value, model))
            return None
        if kind == "tool_use":  # its input is the caller's own, whatever its keys are called
            return value
        opaque = _OPAQUE.get(kind)
        return {key: text_alone(item, model, media, depth + 1) for key, item in value.items() if key != opaque}
    if isinstance(value, list | tuple):
        return [text_alone(item, model, media, depth + 1) for item in value]
    return value


def media_tokens(part: Message, model: str) -> int:
    """Return the tokens of an image by its provider's published rule; MEDIA_TOKENS of all else that is no text."""
    if "image" not in name_of(part.get("type")):
        return MEDIA_TOKENS
    url = part.get("image_url")
    detail = url.get("detail") if isinstance(url, Mapping) else part.get("detail")
    size = _size(_base64(part, url))
    name = model.rpartition("/")[2]
    for family, base, tile in _TILES:
        if family.match(name):
            return base if detail == "low" else MEDIA_TOKENS if size is None else base + tile * _tiles(*size)
    if size is None:
        return MEDIA_TOKENS
    for family, factor in _PATCHES:
        if family.match(name):
            return ceil(_patches(*size) * factor)
    return min(MEDIA_TOKENS, _claude(*size)) if _CLAUDE.search(name) else MEDIA_TOKENS


def _base64(part: Message, url: Any) -> str:
    """Return the image's data; "" where it is somewhere else."""
    source = part.get("source")
    if isinstance(source, Mapping):
        return name_of(source.get("data"))
    address = name_of(url.get("url") if isinstance(url, Mapping) else url)
    return address.partition(";base64,")[2] if address.startswith("data:") else ""


def _tiles(width: int, height: int) -> int:
    """Return the number of tiles: fit into 2,048 x 2,048, then the short side into 768, then cut tiles of 512."""
    scale = min(1.0, 2_048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return ceil(width * scale / 512) * ceil(height * scale / 512)


def _patches(width: int, height: int) -> int:
    patches = ceil(width / 32) * ceil(height / 32)
    if patches <= _PATCHES_MAX:
        return patches
    scale = sqrt(_PATCHES_MAX * 32 * 32 / (width * height))
    across, down = width * scale / 32, height * scale / 32
    whole = min(floor(across) / across, floor(down) / down)  # so that one side has whole patches
    return ceil(across * whole) * ceil(down * whole) if whole else _PATCHES_MAX


def _claude(width: int, height: int) -> int:
    scale = min(1.0, _CLAUDE_SIDE_MAX / max(width, height))
    return ceil(width * scale * height * scale / _CLAUDE_PIXELS)


def _size(data: str) -> tuple[int, int] | None:
    """Return width and height of a PNG, a GIF or a JPEG; None of what is none."""
    try:
        head = b64decode(data[:_LOOKED_AT])
    except (binascii.Error, ValueError):
        return None
    size = None
    if head.startswith(b"\x89PNG") and len(head) >= 24:
        size = struct.unpack(">II", head[16:24])
    elif head.startswith(b"GIF8") and len(head) >= 10:
        size = struct.unpack("<HH", head[6:10])
    elif head.startswith(b"\xff\xd8"):
        size = _jpeg_size(head)
    return (size[0], size[1]) if size and min(size) > 0 else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Return what the first frame header says."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        kind = head[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
