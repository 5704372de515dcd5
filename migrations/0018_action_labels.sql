-- What people sort actions by: {"team": "billing", "tier": "1"}. Attune itself does not read it.
alter table action add column labels jsonb not null default '{}'
    constraint action_labels_form check (jsonb_typeof(labels) = 'object');
