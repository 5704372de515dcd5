"""Calls the API with a client that was generated from its document: api_client.py URL TOKEN, with the client on the path."""

import sys

from attune_client import AuthenticatedClient
from attune_client.api.events import get_events_id_explain
from attune_client.api.executions import get_executions, get_executions_id, post_executions
from attune_client.api.rules import post_rules, post_rules_test
from attune_client.api.traces import get_traces_id
from attune_client.api.triggers import post_triggers, post_triggers_ref_fire
from attune_client.models import (
    EnforceDryRun,
    EnforceExplained,
    ExecutionForm,
    FireForm,
    IntervalTimerConfig,
    RuleForm,
    SkipDryRun,
    TestForm,
    TimerTriggerForm,
)


def good(answer, *statuses):
    assert answer.status_code in statuses, (answer.status_code, answer.content)
    assert answer.parsed is not None, answer.content
    return answer.parsed.data


url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, timeout=60)

# Tagged unions: the decision selects the model.
body = TestForm.from_dict({"condition": "event.payload.n > 5", "payload": {"n": 7}, "action_ref": "core.echo"})
decision = good(post_rules_test.sync_detailed(client=client, body=body), 200)
assert isinstance(decision, EnforceDryRun), decision
clause = {"path": "event.payload.n", "operator": "greater_than", "value": 5}
body = TestForm.from_dict({"condition": clause, "payload": {"n": 3}})
decision = good(post_rules_test.sync_detailed(client=client, body=body), 200)
assert isinstance(decision, SkipDryRun) and decision.why.clause.actual == 3, decision

# Explain and trace.
body = TimerTriggerForm.from_dict({"ref": "core.client", "kind": "timer", "config": {"type": "interval", "seconds": 3600}})
trigger = good(post_triggers.sync_detailed(client=client, body=body), 201)
assert isinstance(trigger.config, IntervalTimerConfig), trigger
body = RuleForm.from_dict({"ref": "core.client", "trigger_ref": "core.client", "action_ref": "core.echo",
                           "retry": {"max_attempts": 2}})
rule = good(post_rules.sync_detailed(client=client, body=body), 201)
assert rule.retry.max_attempts == 2, rule
event = good(post_triggers_ref_fire.sync_detailed("core.client", client=client, body=FireForm()), 201)
explained = good(get_events_id_explain.sync_detailed(event.id, client=client), 200)
assert [rule.rule_ref for rule in explained.rules] == ["core.client"], explained
assert isinstance(explained.rules[0], EnforceExplained), explained
trace = good(get_traces_id.sync_detailed(event.id, client=client), 200)
assert trace.event.id == event.id, trace

# Runs and lists.
body = ExecutionForm.from_dict({"action_ref": "core.echo", "parameters": {"message": "Hello client"}})
ended = good(post_executions.sync_detailed(client=client, body=body, wait=30), 201)
assert ended.status == "succeeded", ended

found = good(get_executions.sync_detailed(client=client, status="succeeded,failed", action_ref="core.echo", since="1h"), 200)
mine = [row for row in found if str(row.id) == str(ended.id)]
assert mine and mine[0].output_tail == "Hello client", found

whole = good(get_executions_id.sync_detailed(ended.id, client=client), 200)
assert whole.result["stdout"] == "Hello client\n", whole
print("the Python client works")
