"""A script without an event loop: the runtime runs in a thread of its own, and the code in the block is the agent."""

import hivecost as hc

budgets = [hc.Budget("per run", limit="$0.02", window="execution"), hc.Budget("day", limit="$5", window="day")]


def ask(ctx: hc.Execution, question: str) -> None:
    with ctx.turn("gpt-4o", input_tokens=1_000, max_tokens=500) as turn:
        # your client's answer to `question`
        turn.settle({"model": "gpt-4o", "usage": {"prompt_tokens": 1_000, "completion_tokens": 300}})


with hc.run_in_background("data", budgets=budgets) as runtime:
    try:
        with runtime.execution(agent_id="script", user_id="ada") as ctx:
            for number in range(100):
                ask(ctx, f"question {number}")
    except hc.BudgetExhaustedError as error:
        print(ctx.result.status, ctx.result.metrics["llm_calls"], "calls:", error)
    for account in runtime.budgets.status():
        print(account.budget, "settled:", account.settled / 1e9, "USD")
