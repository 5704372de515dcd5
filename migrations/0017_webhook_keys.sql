-- Keys of webhook addresses are hashed for the lookup and encrypted for display. A key in the clear is only an input: SQL may
-- write one into webhook_key, and the API encrypts it within a minute.

alter table trigger
    add column webhook_key_hash bytea,
    -- `v1:<base64>`, encrypted by the API under security.encryption_key.
    add column webhook_key_sealed text,
    -- The previous address is never displayed, so its hash is enough.
    add column webhook_key_previous_hash bytea;

-- Encrypting a key does not change a definition: the row keeps its version and its pack's management.
create or replace function definition_stamp() returns trigger language plpgsql as $$
declare
    loading constant boolean not null := coalesce(current_setting('attune.loading', true), '') = 'on';
    beside constant text[] := array['enabled', 'managed', 'version', 'created_at', 'updated_at'];
    address constant text[] := array['webhook_key', 'webhook_key_hash', 'webhook_key_sealed', 'webhook_key_previous',
                                     'webhook_key_previous_hash', 'webhook_key_previous_until'];
begin
    if tg_op = 'INSERT' then
        if to_jsonb(new) ? 'managed' then
            new.managed := loading;
        end if;
        new.version := 1;
        return new;
    end if;
    if to_jsonb(new) - address = to_jsonb(old) - address then
        return new;
    end if;
    new.version := old.version + 1;
    new.created_at := old.created_at;
    new.updated_at := db_now();
    if to_jsonb(new) ? 'managed' then
        new.managed := old.managed and (loading or to_jsonb(new) - beside - address = to_jsonb(old) - beside - address);
    end if;
    return new;
end $$;

-- Every webhook has an address: 244 bits of strong randomness when nobody gave a key.
create or replace function webhook_key_give() returns trigger language plpgsql as $$
begin
    if new.webhook_key is null and new.webhook_key_hash is null then
        new.webhook_key := encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex');
    end if;
    if new.webhook_key is not null then
        if new.webhook_key_hash is distinct from sha256(new.webhook_key::bytea) then
            new.webhook_key_sealed := null;
        end if;
        new.webhook_key_hash := sha256(new.webhook_key::bytea);
    end if;
    return new;
end $$;

update trigger set
    webhook_key_hash = sha256(webhook_key::bytea),
    webhook_key_previous_hash = sha256(webhook_key_previous::bytea),
    webhook_key_previous = null
where webhook_key is not null or webhook_key_previous is not null;

drop index trigger_webhook_key_hash;
drop index trigger_webhook_key_previous_hash;
create unique index trigger_webhook_key_hash on trigger (webhook_key_hash) where webhook_key_hash is not null;
create unique index trigger_webhook_key_previous_hash on trigger (webhook_key_previous_hash) where webhook_key_previous_hash is not null;
create index trigger_webhook_key_clear on trigger (id) where webhook_key is not null;
