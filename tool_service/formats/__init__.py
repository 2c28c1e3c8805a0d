"""The ways in which models write tool calls. A format is one file; this is the one table of them."""

from tool_service.formats.code_block import CODE_BLOCK
from tool_service.formats.deepseek_v3 import DEEPSEEK_V3
from tool_service.formats.deepseek_v31 import DEEPSEEK_V31
from tool_service.formats.deepseek_v32 import DEEPSEEK_V32
from tool_service.formats.format import Format
from tool_service.formats.functionary_v2 import FUNCTIONARY_V2
from tool_service.formats.functiongemma import FUNCTIONGEMMA
from tool_service.formats.glm45 import GLM45
from tool_service.formats.glm47 import GLM47
from tool_service.formats.granite import GRANITE
from tool_service.formats.hermes import HERMES
from tool_service.formats.json_format import JSON
from tool_service.formats.kimi_k2 import KIMI_K2
from tool_service.formats.lfm2 import LFM2
from tool_service.formats.llama3_json import LLAMA3_JSON
from tool_service.formats.minimax_m2 import MINIMAX_M2
from tool_service.formats.mistral import MISTRAL
from tool_service.formats.olmo3 import OLMO3
from tool_service.formats.openai import OPENAI
from tool_service.formats.phi4_mini_json import PHI4_MINI_JSON
from tool_service.formats.plan import PLAN
from tool_service.formats.pythonic import PYTHONIC
from tool_service.formats.qwen3_coder import QWEN3_CODER
from tool_service.formats.xlam import XLAM

FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        HERMES,
        LLAMA3_JSON,
        MISTRAL,
        PYTHONIC,
        OLMO3,
        LFM2,
        QWEN3_CODER,
        DEEPSEEK_V3,
        DEEPSEEK_V31,
        DEEPSEEK_V32,
        KIMI_K2,
        GLM45,
        GLM47,
        OPENAI,
        MINIMAX_M2,
        GRANITE,
        PHI4_MINI_JSON,
        FUNCTIONGEMMA,
        XLAM,
        JSON,
        FUNCTIONARY_V2,
        CODE_BLOCK,
        PLAN,
    )
}
