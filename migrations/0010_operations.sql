-- What whoever operates it needs: addresses of webhooks that change without a gap, and what retention has removed.

-- For a while after a rotation the address before still leads here.
alter table trigger add column webhook_key_previous text, add column webhook_key_previous_until timestamptz;
create unique index trigger_webhook_key_previous_hash on trigger (sha256(webhook_key_previous::bytea)) where webhook_key_previous is not null;

alter table partitioned_table
    -- When was it looked at last, and when was something old enough to go?
    add column expired_at timestamptz,
    add column removed_at timestamptz,
    add column removed_partitions bigint not null default 0,
    add column removed_rows bigint not null default 0,
    add constraint partitioned_table_keeps_something check (keep_days >= 1);

create index audit_object on audit (object, id);
