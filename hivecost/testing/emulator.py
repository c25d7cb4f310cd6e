"""A provider on loopback that answers like the real ones and keeps its own bill."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.testing import (
    anthropic_messages,
    bedrock_converse,
    gemini,
    models,
    openai_chat,
    openai_embeddings,
    openai_errors,
    openai_responses,
)
from hivecost.testing.behaviour import BEHAVIOUR_HEADER, Behaviour, Script
from hivecost.testing.bill import Bill, BilledTokens, BillEntry, TokenRates, sum_nanousd, sum_tokens
from hivecost.testing.dialect import Dialect, Place
from hivecost.testing.generation import Call, Generation, billed_usage, generate
from hivecost.testing.server import HOST, LoopbackServer, Reply, Request

#: A request with this header has its value on the bill, as `turn`.
TURN_HEADER: Final = "x-hivecost-turn"

_ROUTES: Final[dict[str, Dialect]] = {
    "POST /v1/chat/completions": openai_chat,
    "POST /v1/responses": openai_responses,
    "POST /v1/embeddings": openai_embeddings,
    "POST /v1/messages": anthropic_messages,
}
#: Those that have the model in the path, and what a count of its prompt's tokens is called.
_PATHS: Final[tuple[tuple[re.Pattern[str], Dialect], ...]] = (
    (
        re.compile(r"/v1(?:beta\d*)?/(?:.+/)?models/(?P<model>[^/:]+):(?P<call>generateContent|streamGenerateContent)"),
        gemini,
    ),
    (re.compile(r"/model/(?P<model>[^/]+)/(?P<call>converse|converse-stream)"), bedrock_converse),
)

#: What costs nothing.
_COUNT_TOKENS: Final = "/v1/messages/count_tokens"
_GEMINI_COUNT: Final = re.compile(r"/v1(?:beta\d*)?/(?:.+/)?models/[^/:]+:countTokens")
_BEDROCK_COUNT: Final = re.compile(r"/model/[^/]+/count-tokens")
_MODELS: Final = "/v1/models"


class ReceivedRequest(msgspec.Struct, frozen=True):
    """A request on a model's route that could be read."""

    #: `openai.chat`, `openai.responses`, `openai.embeddings`, `anthropic.messages`, `google.gemini` or
    #: `bedrock.converse`.
    flavor: str
    #: The body as its client sent it.
    body: bytes
    #: Finds its names in any case.
    headers: Mapping[str, str]


#: Says what a request meets; None leaves that to what was scripted.
Decide = Callable[[ReceivedRequest], Behaviour | None]


class ProviderEmulator:
    """Serves OpenAI's chat, responses and embeddings, Anthropic's messages, Gemini and Bedrock's Converse on 127.0.0.1.

    Streams included.

    with ProviderEmulator() as provider:
        provider.script(Behaviour(status=429, retry_after_s=0.01))          # the next request only
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="any")
        client.chat.completions.create(model="gpt-4o", messages=[...])      # retried by the SDK
        assert [entry.status for entry in provider.bill] == [429, 200]

    Tokens are four characters each (`prompt_tokens`, `count_tokens`), so counts are the same in every run. Each request
    is billed, in `bill` and in the file at `bill_path`, before the first byte of its answer. Only a stream that stops
    when its client hangs up (`Behaviour.on_hang_up`) is billed when it has ended. `/v1/models` and counts of tokens are
    free.

    `decide` is asked first what a request meets, from several threads at once: for answers that depend on what was
    sent, and to record it. `aliases` are the models that answer to other names: `aliases=DATED_MODELS` answers `gpt-4o`
    as `gpt-4o-2024-08-06`, which is then what is billed. Safe over threads.
    """

    def __init__(
        self,
        default: Behaviour | None = None,
        *,
        port: int = 0,
        bill_path: str | Path | None = None,
        fsync: bool = False,
        decide: Decide | None = None,
        aliases: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._decide = decide
        self._aliases = aliases or {}
        self._script = Script(default or Behaviour())
        self._bill = Bill(bill_path, fsync=fsync)
        self._port = port
        self._clock = clock
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._bill.open()
        try:
            self._server = LoopbackServer(self._port, self._respond)
        except OSError:
            self._bill.close()
            raise
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
        self._bill.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`. Raises RuntimeError before the emulator was started."""
        if self._server is None:
            raise RuntimeError("the emulator does not run yet: use `with ProviderEmulator() as provider:`")
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def openai_base_url(self) -> str:
        """The `base_url` of an OpenAI client."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """The `base_url` of an Anthropic client."""
        return self.url

    @property
    def gemini_base_url(self) -> str:
        """The `base_url` of a client of google-genai: `http_options={"base_url": …}`."""
        return self.url

    @property
    def bedrock_endpoint_url(self) -> str:
        """The `endpoint_url` of boto3's client for `bedrock-runtime`."""
        return self.url

    def script(self, *behaviours: Behaviour) -> None:
        """Use each for one of the next requests, in the order of their arrival."""
        self._script.queue(*behaviours)

    def always(self, behaviour: Behaviour, *, model: str = "") -> None:
        """Use it from now on for requests that nothing was queued for: those of `model`, or all others."""
        self._script.always(behaviour, model=model)

    @property
    def bill(self) -> Sequence[BillEntry]:
        """One entry per request that reached a model's route, refused ones included, oldest first."""
        return self._bill.entries()

    def wait_for_bill(self, count: int, *, timeout_s: float = 10.0) -> None:
        """Return when the bill has so many entries, so that a test can cancel a call which has surely arrived.

        Raise TimeoutError when they do not come.
        """
        if not self._bill.wait_for(count, timeout_s):
            raise TimeoutError(f"{len(self.bill)} of {count} requests reached the emulator in {timeout_s:g} s")

    def billed_tokens(self, *, model: str | None = None) -> BilledTokens:
        """Return the sums of what was billed, for all models or for one."""
        return sum_tokens(self.bill, model=model)

    def bill_nanousd(self, rates: Mapping[str, TokenRates]) -> int:
        """Return the bill at these rates by model, in nano-USD. Raise PriceUnknownError for a model without one."""
        return sum_nanousd(self.bill, rates)

    def _respond(self, request: Request) -> Reply:
        request_id = secrets.token_hex(12)
        dialect, place = _routed(request)
        if dialect is None:
            return _free_reply(request, request_id)
        entry = BillEntry(
            request_id=request_id,
            flavor=dialect.FLAVOR,
            turn=request.headers.get(TURN_HEADER, ""),
            idempotency_key=request.headers.get("idempotency-key", ""),
        )
        try:
            call = dialect.read(request.body, place)
            behaviour = self._behaviour_for(request, dialect, call)
        except (msgspec.DecodeError, RecursionError) as error:
            self._bill.add(replace(entry, status=400, billed=False))
            return _reply(dialect.error(400, f"invalid request: {error}", request_id), request_id, status=400)
        made = generate(call, behaviour, request_id=request_id, created_s=self._clock.now_ns() // 10**9)
        return self._billed_reply(dialect, entry, made, behaviour)

    def _behaviour_for(self, request: Request, dialect: Dialect, call: Call) -> Behaviour:
        header = request.headers.get(BEHAVIOUR_HEADER)
        decided = self._decide and self._decide(ReceivedRequest(dialect.FLAVOR, request.body, request.headers))
        if header is not None:
            behaviour = msgspec.json.decode(header, type=Behaviour)
        else:
            behaviour = decided or self._script.next_for(call.model)
        return replace(behaviour, model=behaviour.model or self._aliases.get(call.model, ""))

    def _billed_reply(self, dialect: Dialect, entry: BillEntry, made: Generation, behaviour: Behaviour) -> Reply:
        if behaviour.status != 200:
            self._bill.add(_charged(entry, made, behaviour))
            return _refusal(dialect, made, behaviour)
        reply = _delivery(dialect, made, behaviour)
        if reply.frames is None or behaviour.on_hang_up == "write_on":
            self._bill.add(_charged(entry, made, behaviour))
            return reply
        return replace(reply, on_end=lambda sent: self._bill.add(_charged(entry, made, behaviour, sent_chunks=sent)))


def _routed(request: Request) -> tuple[Dialect | None, Place]:
    """Return the dialect of the route, and what the path says."""
    if dialect := _ROUTES.get(f"{request.method} {request.path}"):
        return dialect, Place()
    for path, dialect in _PATHS if request.method == "POST" else ():
        if found := path.fullmatch(request.path):
            call, as_events = found["call"], "alt=sse" in request.query.split("&")
            return dialect, Place(unquote(found["model"]), stream="stream" in call, as_events=as_events)
    return None, Place()


def _free_reply(request: Request, request_id: str) -> Reply:
    """Return the answer to a request that is on no bill: counts, models, and routes that do not exist."""
    anthropic = request.path == _COUNT_TOKENS or "anthropic-version" in request.headers
    error = anthropic_messages.error if anthropic else openai_errors.error
    try:
        body = _free_answer(request, anthropic=anthropic)
    except (msgspec.DecodeError, RecursionError) as fault:
        return _reply(error(400, f"invalid request: {fault}", request_id), request_id, status=400)
    if body is None:
        more = ("POST /v1beta/models/MODEL:generateContent", "POST /model/MODEL/converse")
        routes = ", ".join([*_ROUTES, *more, f"POST {_COUNT_TOKENS}", f"GET {_MODELS}"])
        message = f"not found: {request.method} {request.path}; there are {routes}"
        return _reply(error(404, message, request_id), request_id, status=404)
    return _reply(body, request_id)


def _free_answer(request: Request, *, anthropic: bool) -> dict[str, Any] | None:
    if request.method == "POST" and request.path == _COUNT_TOKENS:
        return anthropic_messages.count(request.body)
    if request.method == "POST" and _GEMINI_COUNT.fullmatch(request.path):
        return gemini.count(request.body)
    if request.method == "POST" and _BEDROCK_COUNT.fullmatch(request.path):
        return bedrock_converse.count(request.body)
    if request.method == "GET" and request.path == _MODELS:
        return models.listing(anthropic=anthropic)
    if request.method == "GET" and request.path.startswith(f"{_MODELS}/"):
        return models.model(request.path.removeprefix(f"{_MODELS}/"), anthropic=anthropic)
    return None


def _charged(entry: BillEntry, made: Generation, behaviour: Behaviour, *, sent_chunks: int | None = None) -> BillEntry:
    call = made.call
    return replace(
        entry,
        model=made.model,
        usage=billed_usage(made, behaviour, sent_chunks=sent_chunks),
        status=behaviour.status,
        billed=behaviour.is_billed,
        stream=call.stream,
        service_tier=made.service_tier,
        max_tokens=call.max_tokens,
        metadata=call.metadata,
    )


def _reply(body: dict[str, Any], request_id: str, *, status: int = 200) -> Reply:
    headers = {"x-request-id": f"req_{request_id}", "request-id": f"req_{request_id}"}
    return Reply(status=status, body=json.dumps(body).encode(), headers=headers)


def _refusal(dialect: Dialect, made: Generation, behaviour: Behaviour) -> Reply:
    body = dialect.error(behaviour.status, f"scripted to answer {behaviour.status}", made.request_id)
    reply = _reply(body, made.request_id, status=behaviour.status)
    if behaviour.retry_after_s is not None:
        reply.headers["retry-after"] = f"{behaviour.retry_after_s:g}"
    return replace(reply, latency_s=behaviour.latency_s)


def _delivery(dialect: Dialect, made: Generation, behaviour: Behaviour) -> Reply:
    frames = dialect.stream(made) if made.call.stream else None
    reply = _reply({} if frames else dialect.answer(made), made.request_id)
    return replace(
        reply,
        frames=frames,
        latency_s=behaviour.latency_s,
        cut_after_chunks=behaviour.cut_after_chunks,
        stall_after_chunks=behaviour.stall_after_chunks,
        chunk_interval_s=behaviour.chunk_interval_s,
    )
