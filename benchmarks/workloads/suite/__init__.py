"""The workloads: one file each."""

from collections.abc import Mapping

from benchmarks.workloads.suite.agent import AGENT
from benchmarks.workloads.suite.calculator import CALCULATOR
from benchmarks.workloads.suite.codegen import CODEGEN, CODEGEN_COLD
from benchmarks.workloads.suite.database import DATABASE
from benchmarks.workloads.suite.parallel import PARALLEL
from benchmarks.workloads.suite.planning import PLANNING
from benchmarks.workloads.suite.script import SCRIPT
from benchmarks.workloads.suite.search import SEARCH
from benchmarks.workloads.suite.validation import VALIDATION
from benchmarks.workloads.workload import Workload

SUITE: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        CODEGEN_COLD,
        CODEGEN,
        SEARCH,
        PLANNING,
        VALIDATION,
        DATABASE,
        CALCULATOR,
        PARALLEL,
        SCRIPT,
        AGENT,
    )
}
