"""What frameworks know of a call that the program makes: the node, agent, session and user.

Only modules that the program has imported are looked at, and a probe that raises changes nothing but a count.
"""

import sys

#: Probes that raised, and were not told of yet.
_failures = 0
#: Longer texts are cut: whoever wrote them did not mean a name.
_CHARS_MAX = 1_000
#: Spans inside of one another that are walked through.
_DEPTH_MAX = 50


def found():
    """Return what is said, by `node`, `agent`, `session` and `user`; what a framework says first holds."""
    global _failures
    said = {}
    for name, probe in _PROBES:
        module = sys.modules.get(name)
        if module is not None:
            try:
                for key, value in probe(module).items():
                    if value and key not in said:
                        said[key] = plain(value)
            except Exception:
                _failures += 1
    return said


def failures():
    """Return how many probes have raised since this was called last."""
    global _failures
    count, _failures = _failures, 0
    return count


def plain(value):
    """Return it as a text that can be sent and kept."""
    return str(value)[:_CHARS_MAX].encode("utf-8", "replace").decode()


def _hivecost(running_execution):
    """Of a program that has a runtime of hivecost's own."""
    running = running_execution.running_here()
    if running is None:
        return {}
    turn = running.request_here()
    return {"node": turn.node_id, "agent": turn.agent_id, "session": turn.session_id, "user": turn.user_id}


def _langgraph(config):
    current = config.var_child_runnable_config.get() or {}
    metadata, configurable = current.get("metadata") or {}, current.get("configurable") or {}
    session = configurable.get("thread_id") or metadata.get("thread_id")
    return {"node": metadata.get("langgraph_node"), "session": session}


def _openai_agents(scope):
    """Look for the agent around the current span, which is that of the call; an agent is a node, too."""
    span, agent = scope.Scope.get_current_span(), None
    for _ in range(_DEPTH_MAX):
        if span is None or agent is not None:
            break
        agent = span.span_data.name if span.span_data.type == "agent" else None
        entered = span._prev_span_token
        around = None if entered is None else entered.old_value
        span = None if entered is None or around is entered.MISSING else around
    trace = scope.Scope.get_current_trace()
    return {"node": agent, "agent": agent, "session": getattr(trace, "group_id", None)}


def _span(trace):
    """By the names of OpenTelemetry's conventions; a span that is not recorded has no attributes."""
    attributes = getattr(trace.get_current_span(), "attributes", None) or {}
    session = attributes.get("session.id") or attributes.get("gen_ai.conversation.id")
    return {"agent": attributes.get("gen_ai.agent.name"), "session": session, "user": attributes.get("user.id")}


def _baggage(baggage):
    return {"session": baggage.get_baggage("session.id"), "user": baggage.get_baggage("user.id")}


#: The first that says something is believed.
_PROBES = (
    ("hivecost.runtime.running_execution", _hivecost),
    ("langchain_core.runnables.config", _langgraph),
    ("agents.tracing.scope", _openai_agents),
    ("opentelemetry.trace", _span),
    ("opentelemetry.baggage", _baggage),
)
