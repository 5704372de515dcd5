-- From where an account signed in before. Wrong passwords from elsewhere do not lock it out there.
create table sign_in_address (
    identity_id bigint not null constraint sign_in_address_identity_fk references identity on delete cascade,
    address text not null,
    signed_in_at timestamptz not null default db_now(),
    primary key (identity_id, address)
);
create index sign_in_address_signed_in_at on sign_in_address (signed_in_at);

-- 'known': an account from an address where it signed in before; 'password': the change of a password.
alter table sign_in_attempt drop constraint sign_in_attempt_scope_known;
alter table sign_in_attempt add constraint sign_in_attempt_scope_known check (scope in ('account', 'address', 'known', 'password'));
