-- API tokens form families, and the audit log cannot be truncated.

-- The token that created this one: revoking a token revokes its descendants.
alter table api_token add column parent_id bigint constraint api_token_parent_fk references api_token on delete cascade;
create index api_token_parent on api_token (parent_id) where parent_id is not null;

create trigger audit_guard_truncate before truncate on audit for each statement execute function audit_refuse();
