"""What `sql` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class SqlSettings(BaseModel):
    """Settings of `sql`: `[tools.sql]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = Field("", description="an SQLite file or a `postgresql://` address; empty: `sql` is not offered")
