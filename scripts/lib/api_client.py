"""Calls the API with a client that was generated from its document: api_client.py URL TOKEN, with the client on the path."""

import sys

from attune_client import AuthenticatedClient
from attune_client.api.executions import get_executions, get_executions_id, post_executions
from attune_client.api.rules import post_rules_test
from attune_client.models import ExecutionForm, TestForm


def good(answer, *statuses):
    assert answer.status_code in statuses, (answer.status_code, answer.content)
    assert answer.parsed is not None, answer.content
    return answer.parsed.data


url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, timeout=60)

body = TestForm.from_dict({"condition": "event.payload.n > 5", "payload": {"n": 7}, "action_ref": "core.echo"})
decision = good(post_rules_test.sync_detailed(client=client, body=body), 200)
assert decision.decision == "enforce", decision

body = ExecutionForm.from_dict({"action_ref": "core.echo", "parameters": {"message": "Hello client"}})
ended = good(post_executions.sync_detailed(client=client, body=body, wait=30), 201)
assert ended.status == "succeeded", ended

found = good(get_executions.sync_detailed(client=client, status="succeeded,failed", action_ref="core.echo", since="1h"), 200)
mine = [row for row in found if str(row.id) == str(ended.id)]
assert mine and mine[0].output_tail == "Hello client", found

whole = good(get_executions_id.sync_detailed(str(ended.id), client=client), 200)
assert whole.result["stdout"] == "Hello client\n", whole
