"""`calculator`: arithmetic, nothing to gain from starting early."""

from tool_service.interface import Reject, tool
from tool_service.tools.calculator.arithmetic import CannotEvaluate, as_text, evaluate


@tool(timeout=5)
def calculator(expression: str) -> str:
    """Compute an arithmetic expression, by Python's rules.

    Args:
        expression: For example 2 * (sqrt(9) + 1). Knows + - * / // % ** and functions such as sqrt, sin, log, round.
    """
    try:
        return as_text(evaluate(expression))
    except CannotEvaluate as error:
        raise Reject(str(error)) from None
