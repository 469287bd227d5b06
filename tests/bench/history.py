"""A past for a hub: calls that ended long ago, written by the database itself."""

from __future__ import annotations

import sqlite3

import psycopg

from tests.system.hub import Hub

# A request carries fifty results.
_SENDING = (
    "INSERT INTO handlers_sending (portal_id, started_at, answered_at, results, lines, looks, seconds, outcome, code,"
    " text) SELECT (SELECT min(id) FROM portals_portal), {at}, {at}, 50, 0, 0, 0.1, 'answered', '', ''"
    " FROM {series} WHERE ({rows} - n) % 50 = 0"
)
_CALL = (
    "INSERT INTO handlers_receivedcall (portal_id, token_hash, run, robot_code, version_id, workflow_id, document_id,"
    " document_type, waits, called_at, received_at, repeats, event_token, call)"
    " SELECT p.id, {token}, 1, 'discount', v.id, 'past.' || n, 'DEAL_' || (n % 5000), 'crm|CCrmDocumentDeal|DEAL',"
    ' {true}, {at}, {at}, 0, {token}, \'{{"properties": {{"amount": "10"}}}}\''
    " FROM {series} JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS number"
    " FROM portals_portal) p ON n % p.number = p.place,"
    " (SELECT max(id) AS id FROM robots_robotversion WHERE code = 'discount') v"
)
_ROW = (
    "INSERT INTO handlers_invocation (id, portal_id, robot_code, state, cause, due_at, started_at, computed_at,"
    " sent_at, ended_at, confirmed_at, owner, fence, tries, sends, confirmation, seen_listed, revision, sending_id)"
    " SELECT id, portal_id, robot_code, 'delivered', '', received_at, received_at, received_at, received_at,"
    " received_at, received_at, '', 4, 1, 1, 'confirmed', {false}, '',"
    " (SELECT max(id) FROM handlers_sending) - ({rows} - CAST(substr(workflow_id, 6) AS integer)) / 50"
    " FROM handlers_receivedcall WHERE workflow_id LIKE 'past.%'"
)
_RESULT = (
    "INSERT INTO handlers_invocationresult (invocation_id, result, lines)"
    ' SELECT id, \'{{"values": {{"total": "9"}}, "log": null}}\', \'\''
    " FROM handlers_receivedcall WHERE workflow_id LIKE 'past.%'"
)


def fill(hub: Hub, rows: int, days: int = 400) -> None:
    """`rows` delivered and confirmed calls of the last `days` days, evenly, on all portals, with results."""
    for statement in statements(hub.stack.database == "PostgreSQL", rows, days):
        execute(hub.environment["DATABASE_URL"], statement)


def execute(url: str, statement: str) -> None:
    """One statement, committed; on SQLite, too."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60, isolation_level=None)
        try:
            connection.execute(statement)
        finally:
            connection.close()
        return
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(statement.encode())


def statements(postgresql: bool, rows: int, days: int) -> list[str]:
    """What fills an empty log, in order; the last one tells the planner."""
    step = days * 86_400 / rows
    if postgresql:
        words = {
            "token": "sha256(('past' || n)::bytea)",
            "true": "true",
            "false": "false",
            "at": f"now() - interval '1 hour' - ({rows} - n) * interval '{step} seconds'",
            "rows": str(rows),
            "series": f"generate_series(1, {rows}) AS n",
        }
        last = "VACUUM ANALYZE"
    else:
        words = {
            "token": "randomblob(32)",
            "true": "1",
            "false": "0",
            "at": f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour', (-{step} * ({rows} - n)) || ' seconds')",
            "rows": str(rows),
            "series": f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows})"
            " SELECT n FROM c)",
        }
        last = "ANALYZE"
    return [*(each.format(**words) for each in (_SENDING, _CALL, _ROW, _RESULT)), last]
