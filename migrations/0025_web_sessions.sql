-- Sessions of browsers. Their cookie is hashed like a refresh token, is sent with every request, and is never exchanged.

alter table refresh_token
    -- When the session ends unless the user does something; null for a refresh token.
    add column idle_until timestamptz,
    -- When the user last proved who they are; some requests require that this was recent.
    add column verified_at timestamptz;

-- Keys that sign in once, without a password. `attune up` prints one.
create table sign_in_link (
    hash bytea primary key,
    identity_id bigint not null constraint sign_in_link_identity_fk references identity on delete cascade,
    created_at timestamptz not null default db_now(),
    expires_at timestamptz not null,
    used_at timestamptz
);
create index sign_in_link_identity on sign_in_link (identity_id);
