-- What came to webhooks: received, genuine or why not, a repeat of what, and the event. For people who ask why nothing
-- happened. It is a record beside the truth: events are committed before their answer, these rows shortly after it.

create table webhook_request (
    -- Begins with the time of the request, like the ids of occurrences.
    id uuid primary key,
    trigger_id bigint not null,
    trigger_ref text not null,
    received_at timestamptz not null default db_now(),
    address text,
    method text not null,
    query text not null default '',
    -- Those that prove an identity by themselves are hidden.
    headers jsonb not null default '{}',
    -- The raw bytes, or the beginning of them.
    body bytea not null default '',
    body_bytes integer not null default 0,
    verdict text not null constraint webhook_request_verdict_known check (verdict in ('accepted', 'duplicate', 'rejected', 'redelivered')),
    reason text constraint webhook_request_reason_given check (verdict <> 'rejected' or reason is not null),
    detail text,
    -- The event, or for a repeat the first event.
    event_id uuid,
    redelivery_of uuid
);
create index webhook_request_trigger on webhook_request (trigger_ref, id);

-- The address of a webhook is looked up by the hash of its key: how long the search takes tells nothing about the key.
-- An index on an expression and not a generated column, which `definition_stamp` would take for a change.
create unique index trigger_webhook_key_hash on trigger (sha256(webhook_key::bytea)) where webhook_key is not null;

-- Which rules had to do with a trigger, then and now: for "why did it not run?".
create index rule_history_trigger on rule_history (trigger_id);

-- Every webhook has an address, also one that came with a pack or by SQL: 244 bits of strong randomness when nobody gave a key.
create function webhook_key_give() returns trigger language plpgsql as $$
begin
    if new.kind = 'webhook' and new.webhook_key is null then
        new.webhook_key := encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex');
    end if;
    return new;
end $$;
create trigger b_webhook_key before insert or update on trigger for each row when (new.kind = 'webhook') execute function webhook_key_give();

-- Those that have none yet. Nothing else of them changes, so they stay as their packs' files say.
update trigger set webhook_key = null where kind = 'webhook' and webhook_key is null;
