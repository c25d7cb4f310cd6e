"""What a request is, by its address."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.dialects import DIALECTS, Free, Route, Unknown, Unmetered, recognise
from hivecost.dialects.hosts import _PROVIDERS, _REGIONAL, provider_of
from hivecost.pricing import default_book

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
GEMINI = "generativelanguage.googleapis.com"
VERTEX = "us-central1-aiplatform.googleapis.com"
PROJECT = "/v1/projects/p/locations/us-central1/publishers"


#: Dialect, who bills, the model in the path, whether the path says that it is a stream; host, path.
CALLS = """
openai.chat        openai     -       None  api.openai.com            /v1/chat/completions
openai.chat        openai     -       None  EU.api.OpenAI.com:443     //v1/chat/completions/
openai.responses   openai     -       None  api.openai.com.           /v1/responses?x=1
openai.embeddings  openai     -       False api.openai.com            /v1/embeddings
openai.chat        azure      my-4o   None  me.openai.azure.com       /openai/deployments/my-4o/chat/completions?v=1
openai.embeddings  azure      ada     False me.openai.azure.com       /openai/deployments/ada/embeddings?v=1
openai.responses   azure      -       None  me.openai.azure.com       /openai/v1/responses
openai.responses   azure      -       None  me.openai.azure.com       /openai/responses?api-version=preview
anthropic.messages azure      -       None  me.services.ai.azure.com  /anthropic/v1/messages
openai.chat        openrouter -       None  openrouter.ai             /api/v1/chat/completions
openai.chat        groq       -       None  api.groq.com              /openai/v1/chat/completions
openai.chat        mistral    -       None  api.mistral.ai            /v1/chat/completions
openai.chat        ollama     -       None  localhost:11434           /v1/chat/completions
ollama.chat        ollama     -       None  localhost:11434           /api/chat
ollama.chat        ollama     -       None  [::1]:11434               /api/chat
ollama.chat        ollama     -       None  my-box                    /api/chat
openai.chat        -          -       None  127.0.0.1:4000            /v1/chat/completions
anthropic.messages -          -       None  gateway.ai.cloudflare.com /v1/a/g/anthropic/v1/messages
anthropic.messages anthropic  -       None  api.anthropic.com         /v1/messages?beta=true
anthropic.messages google     c@2025  True  VERTEX                    VERTEX/anthropic/models/c@2025:streamRawPredict
google.gemini      google     g-pro   False VERTEX                    VERTEX/google/models/g-pro:generateContent
google.gemini      google     g True aiplatform.eu.rep.googleapis.com VERTEX/google/models/g:streamGenerateContent
google.gemini      google     g-fl    True  GEMINI                    /v1beta/models/g-fl:streamGenerateContent?alt=sse
google.gemini      google     tunedModels/t False GEMINI              /v1beta/tunedModels/t:generateContent
openai.chat        google     -       None  GEMINI                    /v1beta/openai/chat/completions
bedrock.converse   aws        c-v1:0  False BEDROCK                   /model/c-v1%3A0/converse
bedrock.converse   aws        u.a:0   True  BEDROCK                   /model/u.a:0/converse-stream
bedrock.invoke     aws        arn:p/a False BEDROCK                   /model/arn%3Ap%2Fa/invoke
bedrock.invoke aws m True v.bedrock-runtime.eu-west-1.vpce.amazonaws.com /model/m/invoke-with-response-stream
openai.chat        aws        -       None  bedrock-mantle.us-east-1.api.aws /v1/chat/completions
"""
NAMES = {"VERTEX": VERTEX, "GEMINI": GEMINI, "BEDROCK": BEDROCK}


@pytest.mark.parametrize("call", CALLS.strip().splitlines())
def test_a_call_of_a_model_is_known_by_its_address(call):
    """Whose dialect it is, who bills it, and what else the path says."""
    *said, host, path = call.split()
    route = recognise("post", NAMES.get(host, host), path.replace("VERTEX", PROJECT))
    assert isinstance(route, Route)
    found = [route.dialect.name, route.provider, route.match.model, str(route.match.stream)]
    assert [name or "-" for name in found] == said


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", "api.openai.com", "/v1/models"),
        ("GET", "api.openai.com", "/v1/responses/resp_1"),
        ("GET", "api.openai.com", "/v1/chat/completions"),
        ("DELETE", "api.openai.com", "/v1/responses/resp_1"),
        ("POST", "api.openai.com", "/v1/responses/resp_1/cancel"),
        ("POST", "api.openai.com", "/v1/responses/input_tokens"),
        ("POST", "api.openai.com", "/v1/files"),
        ("POST", "api.openai.com", "/v1/uploads/u1/parts"),
        ("POST", "api.openai.com", "/v1/moderations"),
        ("POST", "api.anthropic.com", "/v1/messages/count_tokens?beta=true"),
        ("POST", "api.anthropic.com", "/api/event_logging/batch"),
        ("POST", VERTEX, f"{PROJECT}/anthropic/models/count-tokens:rawPredict"),
        ("POST", VERTEX, f"{PROJECT}/google/models/g:countTokens"),
        ("POST", GEMINI, "/upload/v1beta/files"),
        ("POST", BEDROCK, "/model/m/count-tokens"),
        ("GET", "openrouter.ai", "/api/v1/generation?id=gen-1"),
        ("POST", "ollama.com", "/api/show"),
        ("POST", "api.openai.com", "/v1/traces/ingest"),
        ("POST", "api.openai.com", "/v1/conversations/conv_1/items"),
        ("POST", "api.openai.com", "/v1/chat/completions/chatcmpl_1"),
    ],
)
def test_what_a_paid_host_does_for_nothing_is_free(method, host, path):
    """Lists, counts, files, and the end of what was begun."""
    assert isinstance(recognise(method, host, path), Free)


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "api.openai.com", "/v1/images/generations"),
        ("POST", "api.openai.com", "/v1/batches"),
        ("POST", "api.openai.com", "/v1/completions"),
        ("POST", "api.openai.com", "/v1/responses/compact"),
        ("PUT", "api.openai.com", "/v1/anything"),
        ("GET", "api.openai.com", "/v1/realtime?model=gpt-realtime"),
        ("GET", "api.openai.com", "/v1/responses"),
        ("POST", "api.anthropic.com", "/v1/messages/batches"),
        ("POST", GEMINI, "/v1beta/models/imagen-4:predict"),
        ("POST", GEMINI, "/v1beta/models/gemini-embedding-001:embedContent"),
        ("GET", GEMINI, "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"),
        ("POST", VERTEX, f"{PROJECT}/mistralai/models/m:rawPredict"),
        ("POST", "bedrock-agent-runtime.us-east-1.amazonaws.com", "/agents/a/agentAliases/b/sessions/c/text"),
        ("POST", "api.mistral.ai", "/v1/ocr"),
        ("POST", "ollama.com", "/api/generate"),
    ],
)
def test_a_paid_host_by_an_unknown_path_is_unmetered(method, host, path):
    """It may be billed, and nobody here knows how much; who bills it is known."""
    found = recognise(method, host, path)
    assert isinstance(found, Unmetered)
    assert found.provider == provider_of(host)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("example.com", "/"),
        ("notopenai.com", "/v1/models"),
        ("api.openai.com.evil.example", "/v1/images"),
        ("s3.amazonaws.com", "/b"),
        ("storage.googleapis.com", "/o"),
        ("localhost:11434", "/api/embed"),
        ("bedrock-runtime.us-east-1.amazonaws.com.evil.example", "/x"),
        ("", ""),
    ],
)
def test_other_hosts_are_nobodys_business(host, path):
    """A host whose name only looks like one is another one."""
    assert isinstance(recognise("POST", host, path), Unknown)


@settings(deadline=None)
@given(st.sampled_from(["GET", "POST", "", "\x00"]), st.text(), st.text())
def test_any_address_is_something(method, host, path):
    """Nothing raises, whatever stands there."""
    assert isinstance(recognise(method, host, path), Route | Free | Unmetered | Unknown)
    assert isinstance(recognise(method, "api.openai.com", path), Route | Free | Unmetered)


def test_dialects_have_names_of_their_own():
    """Who is told which dialect it was can tell them apart."""
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)


def test_the_price_book_knows_those_who_bill():
    """The name that a host gets is the one by which prices are found; some have none in the table that is shipped."""
    named = {*_PROVIDERS.values(), *_REGIONAL.values()} - {""}
    assert named - default_book().providers() == {"ai21", "alibaba", "deepinfra", "huggingface", "ollama", "vercel"}
