"""How fast a server's minutes go and how much it keeps open: so that tests need not wait for real ones."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """How a server streams. `minute` is how many seconds a minute of the protocol lasts.

    heartbeat   seconds between signs of life on an open connection
    connections, subscriptions  how many one mailbox may have at once (Exchange: 10 and 20)
    stopped     set when the server ends: open connections end too
    open        connections that are open, by the guid of the mailbox
    """

    heartbeat: float = 45.0
    minute: float = 60.0
    connections: int = 10
    subscriptions: int = 20
    stopped: bool = False
    open: dict[str, int] = field(default_factory=dict)
