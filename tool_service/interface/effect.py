"""What a tool may do to the world before its call is sealed."""

import enum


class Effect(enum.Enum):
    """`NONE` and `READ` may start early; the others only up to `await call.sealed()`."""

    NONE = "none"
    READ = "read"
    IDEMPOTENT = "idempotent"
    WRITE = "write"

    @property
    def harmless(self) -> bool:
        """Whether an abandoned call leaves the world as it was."""
        return self in (Effect.NONE, Effect.READ)
