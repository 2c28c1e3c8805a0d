"""What `sql` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class SqlSettings(BaseModel):
    """Settings of `sql`: `[tools.sql]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = Field("", description="an SQLite file or a `postgresql://` address; empty: `sql` is not offered")
    writable: bool = Field(
        False, description="let scripts change the database, each as a whole when its call is sealed"
    )
    max_rows: int = Field(200, ge=1, le=100_000, description="rows of each statement that are shown")
    max_bytes: int = Field(16_384, ge=256, le=4_000_000, description="bytes of output of each call")
    statement_seconds: float = Field(10.0, ge=0.1, le=600, description="longest that one statement may run")
    lock_seconds: float = Field(5.0, ge=0.1, le=600, description="longest that a statement waits for another's lock")

    @property
    def call_seconds(self) -> float:
        """Longest that all statements of a call may work."""
        return max(60.0, 4 * self.statement_seconds)
