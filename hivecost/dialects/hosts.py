"""Who bills at a host."""

from __future__ import annotations

import re
from typing import Final

#: Hosts, or the ends of their names, and the provider as the price book knows it; "" where one only passes on.
_PROVIDERS: Final = {
    "ai-gateway.vercel.sh": "vercel",
    "api.ai21.com": "ai21",
    "api.anthropic.com": "anthropic",
    "anthropic.helicone.ai": "anthropic",
    "api.aws": "aws",
    "api.cerebras.ai": "cerebras",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.groq.com": "groq",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshotai",
    "api.moonshot.cn": "moonshotai",
    "api.novita.ai": "novita",
    "api.openai.com": "openai",
    "oai.helicone.ai": "openai",
    "api.perplexity.ai": "perplexity",
    "api.portkey.ai": "",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.voyageai.com": "voyageai",
    "api.x.ai": "x-ai",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "cognitiveservices.azure.com": "azure",
    "models.ai.azure.com": "azure",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "gateway.ai.cloudflare.com": "",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "google",
    "ollama.com": "ollama",
    "openrouter.ai": "openrouter",
    "router.huggingface.co": "huggingface",
}
#: Those with a region in the middle of a name.
_REGIONAL: Final = {
    re.compile(r"(?:.*\.)?bedrock[a-z-]*\.[a-z0-9-]+\.(?:vpce\.)?amazonaws\.com(?:\.cn)?"): "aws",
    re.compile(r"[a-z0-9-]+-aiplatform\.googleapis\.com|aiplatform\.[a-z0-9-]+\.rep\.googleapis\.com"): "google",
    re.compile(r"dashscope(?:-[a-z]+)?\.aliyuncs\.com"): "alibaba",
}
#: Who listens there on the machine that it runs on, and bills nothing.
_LOCAL_PORTS: Final = {"11434": "ollama"}


def provider_of(host: str) -> str | None:
    """Return who bills at a host in lower case; "" where it only passes requests on, None where nobody knows."""
    end = host
    while end:
        if (provider := _PROVIDERS.get(end)) is not None:
            return provider
        end = end.partition(".")[2]
    return next((provider for name, provider in _REGIONAL.items() if name.fullmatch(host)), None)


def local_provider(port: str) -> str:
    """Return who serves models at this port of a host that nobody knows; "" where the port does not tell."""
    return _LOCAL_PORTS.get(port, "")
