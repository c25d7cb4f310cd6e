"""A budget: a limit on a scope for a window, checked when it is written down, not when it is too late."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

from hivecost.attribute_names import ATTRIBUTES
from hivecost.attribution import Attributes
from hivecost.errors import ConfigError
from hivecost.ledger.amounts import Unit, parse_amount, parse_limit, require_unit, to_amount
from hivecost.ledger.matching import matcher
from hivecost.ledger.own_limits import OWN_WINDOWS, LimitKey, format_key, is_value, key_of_scope, split_key
from hivecost.ledger.period import WINDOWS, Window, load_zone
from hivecost.plain_text import has_controls, plain_str

if TYPE_CHECKING:
    Limit = str | int | float | Decimal
else:
    Limit = Any  # msgspec decodes no union of str and Decimal; parse_limit checks it

Mode = Literal["observe", "stop_after", "hard"]
OnExceed = Literal["cancel", "pause", "throttle", "alert"]
CancelWhen = Literal["immediate", "after_turn"]

_ON_SHORT: Final = re.compile(r"clamp|wait|refuse|downgrade:.+")
_ON_SOFT: Final = re.compile(r"alert|throttle|finish|downgrade:.+")
_ON_UNPRICED: Final = ("estimate", "refuse", "ignore")
_DOWNGRADE: Final = "downgrade:"

#: What may change while the budget is in force; one that differs in more is another budget.
CHANGEABLE: Final = ("limit", "limits")


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`Budget("org day", limit="$50", window="day", timezone="Europe/Berlin", match={"org": "acme"})`.

    Raises ConfigError, naming `budget 'NAME'.field`, for a value that cannot be used.
    """

    name: str
    #: `"$0.50"`, `"1_000_000 tokens"`, `"200 calls"`, or a number of `unit`; afterwards always a Decimal of `unit`.
    limit: Limit
    #: `usd` (if nothing else is said), `tokens` or `calls`.
    unit: str = ""
    #: `execution`, `session`: one account each; `hour`, `day`, `week` (from Monday), `month`; `total` never resets.
    window: Window = "total"
    #: The IANA zone whose clocks say when an hour, day, week or month begins.
    timezone: str = "UTC"
    #: Only turns with these attributes count: attribute → value, or several values of which one must match. A model
    #: goes by all names that it was asked, priced and answered by, a date left out or not; `claude-opus-*` works.
    match: Mapping[str, str | Sequence[str]] = {}
    #: One account for each value of these attributes, such as `"user"` or `("user", "model")`.
    #: Turns without the attribute share one account, so that nobody escapes by leaving it out.
    per: str | Sequence[str] = ()
    #: Values of `per` that have a limit of their own: `{"planner": "$5"}`, or, of several attributes,
    #: `{"user=ada,model=gpt-4o": "$5"}`. Written like `limit`; afterwards always Decimals of `unit`.
    limits: Mapping[str, Limit] = {}
    #: `hard` holds money before each turn, `stop_after` stops from a subscriber, `observe` counts.
    mode: Mode = "hard"
    #: The fractions of the limit at which to warn, each once per account.
    warn: Sequence[float] = (0.8, 0.9)
    #: A hard budget with too little left for a turn: `wait` for what others hold, up to `wait_s`; `clamp` its
    #: `max_tokens`; `downgrade:MODEL` or `refuse`. What is spent is not waited for.
    on_short: str = "wait"
    #: What happens to an execution whose account is spent: `cancel`; `pause` (hard), until the limit is raised;
    #: `throttle` (stop_after), its turns pass one per `throttle_s`; `alert` (not hard), nothing.
    on_exceed: OnExceed = "cancel"
    #: Cancel at once, or let the turn that is being sent come back first.
    cancel: CancelWhen = "immediate"
    #: Decide and record, but let everything pass: a dry run of a new budget.
    shadow: bool = False
    #: Below `limit`, and written like it: from here on `on_soft` applies. None: there is none.
    soft_limit: Limit | None = None
    #: Between `soft_limit` and `limit`: `alert` warns once; `throttle` lets the account's turns pass one per
    #: `throttle_s`; `finish` refuses runs that had no turn there before; `downgrade:MODEL` takes that model.
    on_soft: str = "alert"
    #: Seconds between the turns of a throttled account.
    throttle_s: float = 1.0
    #: Seconds that a turn waits for money that others hold, before it is refused as busy.
    wait_s: float = 60.0
    #: A budget that is not hard, and a call whose usage or price nobody knows: `estimate` counts what its usage is
    #: estimated at, and warns once per account of what it cannot see; `refuse` lets no turn pass after that
    #: (stop_after), nor one of a model without a price; `ignore` goes on. "" is `estimate`, or a hard budget, which
    #: has none of them: there, the hold stays in doubt.
    on_unpriced: str = ""

    @property
    def limit_amount(self) -> int:
        """The limit in what accounts count: nano-USD, tokens or calls."""
        return to_amount(Decimal(self.limit), self.counted_unit, key=self._key("limit"))

    @property
    def soft_amount(self) -> int | None:
        """The soft limit in what accounts count; None without one."""
        if self.soft_limit is None:
            return None
        return to_amount(Decimal(self.soft_limit), self.counted_unit, key=self._key("soft_limit"))

    @property
    def short_model(self) -> str:
        """The model that `on_short` downgrades to; "" where it does not."""
        return self.on_short.partition(_DOWNGRADE)[2]

    @property
    def soft_model(self) -> str:
        """The model that `on_soft` downgrades to; "" where it does not."""
        return self.on_soft.partition(_DOWNGRADE)[2]

    @property
    def counted_unit(self) -> Unit:
        """What its accounts count: `usd` (in nano-USD), `tokens` or `calls`."""
        return self.unit  # type: ignore[return-value]  # checked when the budget was made

    @property
    def account_attributes(self) -> tuple[str, ...]:
        """The attributes whose values make an account of their own: the window's, then `per`."""
        own = (self.window,) if self.window in OWN_WINDOWS else ()
        return tuple(dict.fromkeys((*own, *self.per)))

    @property
    def own_limits(self) -> dict[LimitKey, int]:
        """What `limits` says, by key of the accounts, in what they count."""
        names = self._limit_attributes
        whichever = (None,) * (len(self.account_attributes) - len(names))
        return {
            (*whichever, *(split_key(names, text) or ())): to_amount(
                Decimal(limit), self.counted_unit, key=self._key(f"limits.{text}")
            )
            for text, limit in self.limits.items()
        }

    @property
    def _limit_attributes(self) -> tuple[str, ...]:
        """The attributes whose values `limits` names."""
        return tuple(name for name in self.account_attributes if self.window not in OWN_WINDOWS or name != self.window)

    def applies_to(self, attributes: Attributes) -> bool:
        """Tell whether a turn with these attributes counts on it."""
        return matcher(self.match)(attributes)

    def amount_of(self, limit: Limit) -> int:
        """Return a limit as people write it, in what the budget counts. Raise ConfigError."""
        return parse_amount(limit, self.unit, key=self._key("limit"))

    def limit_key(self, scope: Mapping[str, str]) -> LimitKey:
        """Return the key of the accounts that a scope names. Raise ConfigError, naming the attributes that it needs."""
        return key_of_scope(self.name, self.window, self.account_attributes, scope)

    def with_limit(self, limit: Limit) -> Budget:
        """Return the same budget with another limit, in the same unit if `limit` names none.

        A soft limit that is not below it any more is out of reach until the limit is raised again.
        """
        number, _ = parse_limit(limit, self.unit, key=self._key("limit"))
        return self._with(limit=number)

    def without_own_limits(self) -> Budget:
        """Return the same budget with one limit for all values of `per`."""
        return self._with(limits={}) if self.limits else self

    def with_limits_of(self, other: Budget) -> Budget:
        """Return the same budget with the limits of another one, which counts in the same unit."""
        return self._with(limit=other.limit, limits=other.limits)

    def differences(self, other: Budget) -> list[str]:
        """Return the names of the fields in which the two differ."""
        return [name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)]

    def _with(self, **values: object) -> Budget:
        changed = copy.copy(self)
        for field, value in values.items():
            msgspec.structs.force_setattr(changed, field, value)
        return changed

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, str):
                msgspec.structs.force_setattr(self, field, plain_str(value))
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError("budget.name", "a name that is not empty", got=self.name)
        if has_controls(self.name):
            raise ConfigError("budget.name", "a name without control characters", got=self.name)
        said = require_unit(self.unit, key=self._key("unit"))
        limit, unit = parse_limit(self.limit, said, key=self._key("limit"))
        soft = None if self.soft_limit is None else parse_limit(self.soft_limit, unit, key=self._key("soft_limit"))
        normal = {
            "limit": limit,
            "unit": unit,
            "soft_limit": soft and soft[0],
            "match": self._checked_match(),
            "per": self._checked_attributes("per", self.per),
            "warn": self._checked_warn(),
        }
        for field, value in normal.items():
            msgspec.structs.force_setattr(self, field, value)
        if self.mode != "hard" and self.on_unpriced == "":
            msgspec.structs.force_setattr(self, "on_unpriced", "estimate")
        load_zone(self.timezone, key=self._key("timezone"))
        self._check_choices()
        msgspec.structs.force_setattr(self, "limits", self._checked_limits())
        self._check_on_exceed()
        self._check_soft_limit()

    def _check_choices(self) -> None:
        for field, allowed in _CHOICES.items():
            value = getattr(self, field)
            if not isinstance(value, str | bool) or value not in allowed:
                raise ConfigError(self._key(field), f"one of {', '.join(map(repr, allowed))}", got=value)
        if not isinstance(self.on_short, str) or not _ON_SHORT.fullmatch(self.on_short):
            expected = "one of 'clamp', 'wait', 'refuse', 'downgrade:MODEL'"
            raise ConfigError(self._key("on_short"), expected, got=self.on_short)
        if not isinstance(self.on_soft, str) or not _ON_SOFT.fullmatch(self.on_soft):
            expected = "one of 'alert', 'throttle', 'finish', 'downgrade:MODEL'"
            raise ConfigError(self._key("on_soft"), expected, got=self.on_soft)
        self._check_on_unpriced()
        for field in ("throttle_s", "wait_s"):
            seconds = getattr(self, field)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e6:
                raise ConfigError(self._key(field), "seconds above 0 and below 1,000,000", got=seconds)

    def _check_on_unpriced(self) -> None:
        if self.mode == "hard" and self.on_unpriced != "":
            expected = (
                "nothing: a hard budget refuses what has no price, and keeps what nobody knows in doubt; "
                "mode='stop_after' goes by it"
            )
            raise ConfigError(self._key("on_unpriced"), expected, got=self.on_unpriced)
        if self.mode != "hard" and self.on_unpriced not in _ON_UNPRICED:
            raise ConfigError(
                self._key("on_unpriced"), f"one of {', '.join(map(repr, _ON_UNPRICED))}", got=self.on_unpriced
            )

    def _check_on_exceed(self) -> None:
        key, is_hard = self._key("on_exceed"), self.mode == "hard"
        if self.on_exceed == "pause" and not is_hard:
            expected = "'cancel', 'throttle' or 'alert'" if self.mode == "stop_after" else "'cancel' or 'alert'"
            raise ConfigError(key, f"{expected}: only mode='hard' can pause before a turn")
        if self.on_exceed == "alert" and is_hard:
            expected = (
                "'cancel' or 'pause': shadow=True lets everything pass, and so does mode='stop_after' with 'alert'"
            )
            raise ConfigError(key, expected)
        if self.on_exceed == "throttle" and is_hard:
            expected = (
                "'cancel' or 'pause': mode='hard' never passes its limit; a soft_limit with on_soft='throttle' slows "
                "down before it, mode='stop_after' after it"
            )
            raise ConfigError(key, expected)
        if self.on_exceed == "throttle" and self.mode == "observe":
            raise ConfigError(key, "'cancel' or 'alert': mode='observe' only counts; mode='stop_after' can throttle")

    def _check_soft_limit(self) -> None:
        key, soft = self._key("on_soft"), self.soft_amount
        if soft is not None and soft >= self.limit_amount:
            raise ConfigError(self._key("soft_limit"), "less than the limit", got=str(self.soft_limit))
        if self.on_soft == "alert":
            return
        if soft is None:
            raise ConfigError(key, "a soft_limit beside it, from which on it applies", got=self.on_soft)
        if self.mode == "observe":
            raise ConfigError(key, "'alert': mode='observe' only counts; 'stop_after' or 'hard' act", got=self.on_soft)
        if self.on_soft == "finish" and self.window == "execution":
            raise ConfigError(key, "a window that several executions share: each would finish on its own account")

    def _checked_match(self) -> dict[str, tuple[str, ...]]:
        if not isinstance(self.match, Mapping):
            raise ConfigError(self._key("match"), 'a table such as {"org": "acme"}', got=self.match)
        self._checked_attributes("match", tuple(self.match))
        match = {plain_str(name): self._checked_names(f"match.{name}", values) for name, values in self.match.items()}
        for name, values in match.items():
            if not values:
                raise ConfigError(self._key(f"match.{name}"), "at least one value")
        return match

    def _checked_limits(self) -> dict[str, Decimal]:
        if not isinstance(self.limits, Mapping):
            raise ConfigError(self._key("limits"), 'a table such as {"planner": "$5"}', got=self.limits)
        names = self._limit_attributes
        limits: dict[str, Decimal] = {}
        for text, limit in self.limits.items():
            key = self._key(f"limits.{text}")
            if not names:
                raise ConfigError(key, "a `per` beside it: the attribute of which this is a value")
            values = split_key(names, text) if is_value(text) else None
            written = "" if values is None else text if len(names) == 1 else format_key(names, values)
            if values is None or written in limits:
                shape = ",".join(f"{name}=…" for name in names) if len(names) > 1 else f"a value of {names[0]}"
                raise ConfigError(key, f"a key of the form {shape}, once", got=text)
            limits[written], _ = parse_limit(limit, self.unit, key=key)
        return limits

    def _checked_attributes(self, field: str, names: str | Sequence[str]) -> tuple[str, ...]:
        """Return the names of attributes or tags. Raise ConfigError for a slip of an attribute.

        As the name of a tag it would match nothing.
        """
        checked = self._checked_names(field, names)
        for name in checked:
            if name not in ATTRIBUTES and (meant := _attribute_near(name)):
                raise ConfigError(self._key(field), f"{meant!r}, or a tag whose name is less like it", got=name)
        if len(set(checked)) < len(checked):
            raise ConfigError(self._key(field), "each attribute once", got=list(checked))
        return checked

    def _checked_names(self, field: str, names: str | Sequence[str]) -> tuple[str, ...]:
        listed = (names,) if isinstance(names, str) else names
        if not isinstance(listed, Sequence) or not all(isinstance(name, str) and name for name in listed):
            raise ConfigError(self._key(field), "a text that is not empty, or a list of them", got=names)
        return tuple(map(plain_str, listed))

    def _checked_warn(self) -> tuple[float, ...]:
        fractions = self.warn if isinstance(self.warn, Sequence) else (None,)
        if not all(isinstance(part, float | int) and 0 < part < 1 for part in fractions):
            raise ConfigError(self._key("warn"), "fractions between 0 and 1, such as (0.8, 0.9)", got=self.warn)
        return tuple(sorted(set(fractions)))

    def _key(self, field: str) -> str:
        return f"budget {self.name!r}.{field}"


def listed_budgets(budgets: Budget | Iterable[Budget]) -> tuple[Budget, ...]:
    """Return the budgets as a tuple; a single one needs no list. Raise ConfigError for anything else."""
    if isinstance(budgets, Budget):
        return (budgets,)
    listed = tuple(budgets) if isinstance(budgets, Iterable) else (budgets,)
    for budget in listed:
        if not isinstance(budget, Budget):
            raise ConfigError("budgets", "a Budget, or a list of them", got=budget)
    return listed


def listed_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple; a single one needs no list."""
    return (names,) if isinstance(names, str) else tuple(names)


def _attribute_near(name: str) -> str:
    """Return the attribute that a slip means, such as `user_id`, `User` and `modle`; "" for a name of its own."""
    from difflib import get_close_matches  # noqa: PLC0415  # only the name of a tag needs it

    return next(iter(get_close_matches(name.lower().removesuffix("_id"), ATTRIBUTES, n=1, cutoff=0.8)), "")


_CHOICES: Final[dict[str, tuple[object, ...]]] = {
    "window": WINDOWS,
    "mode": get_args(Mode),
    "on_exceed": get_args(OnExceed),
    "cancel": get_args(CancelWhen),
    "shadow": (False, True),
}
