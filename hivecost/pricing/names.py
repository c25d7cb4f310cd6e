"""Names of providers as clients write them, and names of models that are near to one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

#: Prefixes and provider names that genai-prices' own matching does not know, and the provider they stand for.
PROVIDER_NAMES: Final = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure-ai": "azure",
    "azureai": "azure",
    "azure-cognitive-services": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azure_databricks": "databricks",
    "azure_text": "azure",
    "claude": "anthropic",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "fireworks.ai": "fireworks",
    "gcp": "google",
    "gcp.gen_ai": "google",
    "google_ai_studio": "google",
    "grok": "x-ai",
    "hf": "huggingface",
    "hosted_vllm": "vllm",
    "hugging_face": "huggingface",
    "huggingface_hub": "huggingface",
    "kimi": "moonshotai",
    "lm-studio": "lm_studio",
    "lmstudio": "lm_studio",
    "novita-ai": "novita",
    "novita_ai": "novita",
    "ollama_chat": "ollama",
    "open_router": "openrouter",
    "perplexity_ai": "perplexity",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "together-ai": "together",
    "together.ai": "together",
    "togetherai": "together",
    "workers-ai": "cloudflare",
    "workersai": "cloudflare",
    "x.ai": "x-ai",
    "x_ai": "x-ai",
    "z-ai": "zai",
    "z.ai": "zai",
    "z_ai": "zai",
    "zhipu": "zhipuai",
}

#: Whoever has one of them in its name is billed by that cloud, whosever models it brings: `vertex.anthropic.messages`.
_CLOUDS: Final = {"azure": "azure", "foundry": "azure", "bedrock": "aws", "vertex": "google"}
#: How clients name the way in which they call a provider: `xai.responses`, `ChatGroq`, `Groq_LLM`.
_CALLED: Final = re.compile(
    r"^chat|[._:-](?:chat|completions?|embeddings?|generative-ai|images?|llm|messages|responses?|speech|transcription)$"
)

#: They pass on other providers' models and bill nothing of their own; OpenAI's client is what people call hosts with.
TRANSPARENT: Final = frozenset({"litellm", "litellm_proxy", "openai"})
#: All that pass on models of others; OpenRouter at prices of its own.
GATEWAYS: Final = TRANSPARENT | {"openrouter"}

#: What telemetry writes in place of a provider.
NOBODY: Final = frozenset(
    {"_other", "custom", "gcp.vertex.agent", "langchain", "none", "null", "other", "strands-agents", "unknown"}
)

#: They run on the caller's own machines: whatever others charge for the same model says nothing about them.
LOCAL_HOSTS: Final = frozenset(
    {
        "docker_model_runner", "foundry-local", "foundry_local", "gpt4all", "hosted_vllm", "koboldcpp", "llama.cpp",
        "llama_cpp", "llamacpp", "llamafile", "lm_studio", "local", "localai", "localhost", "mlx", "ollama",
        "ollama_chat", "oobabooga", "sglang", "vllm", "xinference",
    }
)  # fmt: skip

#: Clouds whose models are called as Bedrock's are, `meta.llama-3.3-70b-instruct`, at prices of their own.
ALIKE_BEDROCK: Final = frozenset({"oci", "oracle"})

#: What stands in front of a model's name and is no host: parts of paths and of LiteLLM's routes.
PATH_WORDS: Final = frozenset(
    {
        "accounts", "chat", "converse", "converse_like", "deployments", "endpoints", "engines", "invoke", "locations",
        "model", "models", "projects", "publishers", "responses", "routers", "tunedmodels",
    }
)  # fmt: skip

#: Whose models are priced when no provider is named and the name alone says nothing.
FIRST_PARTIES: Final = (
    "openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai", "perplexity", "voyageai",
)  # fmt: skip

#: Providers whose names also stand in front of models as their makers', whoever serves them.
MAKERS: Final = frozenset({*FIRST_PARTIES, "arcee", "aws", "meta", "minimax", "moonshotai", "zai", "zhipuai"})

#: Ends of names by which OpenRouter tells variants: https://openrouter.ai/docs/guides/routing/model-variants
VARIANTS: Final = frozenset({"batch", "beta", "exacto", "extended", "floor", "free", "nitro", "online", "thinking"})
#: Ends of names by which Hugging Face chooses a host: https://huggingface.co/docs/inference-providers
POLICIES: Final = frozenset({"cheapest", "fastest", "preferred"})

#: Open models that look like their maker's own, which the maker does not serve (or not under this name): the shipped
#: rates of OpenAI's gpt-oss are another host's, and DeepSeek's API calls none of its models by its weights' names.
#: https://help.openai.com/en/articles/11870455, https://api-docs.deepseek.com/quick_start/pricing
NOT_SERVED: Final = {"openai": ("gpt-oss",), "deepseek": ("distill", "deepseek-r1", "deepseek-v3")}

SUGGESTIONS_MAX: Final = 3

#: A longer name is no slip of the keyboard, and comparing it would take long.
_NAME_MAX: Final = 80


def provider_word(name: str) -> str:
    """Return the name of a provider, in lower case, without what its clients add: `aws` of `anthropicbedrock`."""
    if name in PROVIDER_NAMES or name in LOCAL_HOSTS:
        return PROVIDER_NAMES.get(name, name)
    for cloud, provider in _CLOUDS.items():
        if cloud in name:
            return provider
    plain = _CALLED.sub("", name)
    return PROVIDER_NAMES.get(plain, plain) or name


def last_parts(names: Iterable[str]) -> dict[str, str]:
    """Return each name by its last part in lower case; of several names for one, the shortest."""
    return {name.rsplit("/", 1)[-1].lower(): name for name in sorted(names, key=len, reverse=True)}


def near_names(model: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Return up to three of the names in `last_parts` form that are near to this one, nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415  # only an unknown name needs it

    last = model.rsplit("/", 1)[-1].lower()[:_NAME_MAX]
    near = get_close_matches(last, known, n=SUGGESTIONS_MAX + 1, cutoff=0.7)
    return tuple(known[name] for name in near if name != last)[:SUGGESTIONS_MAX]
