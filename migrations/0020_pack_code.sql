-- The files of packs. A pack names the hash of its current content, an execution the hash of the content that it was created
-- with, so that a retry runs the same code. Content is stored once and never changes.
create table pack_archive (
    -- The sha256 of the normal form of the content, uncompressed.
    hash text constraint pack_archive_pk primary key constraint pack_archive_hash_form check (hash ~ '^[0-9a-f]{64}$'),
    pack_ref text not null,
    pack_version text not null,
    -- A .tar.gz
    content bytea not null constraint pack_archive_content_size check (octet_length(content) <= 67108864),
    -- [{"path": "actions/hello.sh", "bytes": 12, "executable": true, "sha256": "…"}]
    files jsonb not null constraint pack_archive_files_form check (jsonb_typeof(files) = 'array'),
    -- How each action of the pack runs with this content: {"demo.hello": {"entry_point": …, "entry_kind": …, "runtime_ref": …,
    -- "output_format": …}}
    actions jsonb not null constraint pack_archive_actions_form check (jsonb_typeof(actions) = 'object'),
    created_at timestamptz not null default db_now(),
    -- When the last pack stopped using it. Null while a pack uses it.
    superseded_at timestamptz
);
-- It is compressed already.
alter table pack_archive alter column content set storage external;

alter table pack
    add column hash text constraint pack_archive_fk references pack_archive,
    -- The content has more than definitions: workers need it.
    add column has_code boolean not null default false,
    -- Where it came from: git+https://example.org/packs.git@0f3c…
    add column source text;
create index pack_hash on pack (hash);

create function pack_archive_superseded() returns trigger language plpgsql as $$
begin
    update pack_archive set superseded_at = db_now()
    where hash = old.hash and not exists (select from pack where pack.hash = old.hash);
    return null;
end $$;
create trigger pack_archive_superseded_update after update of hash on pack
    for each row when (old.hash is distinct from new.hash) execute function pack_archive_superseded();
create trigger pack_archive_superseded_delete after delete on pack
    for each row when (old.hash is not null) execute function pack_archive_superseded();

-- `file`: the entry point is the path of a file of the pack, and not a script.
alter table action
    add column entry_kind text not null default 'text' constraint action_entry_kind_known check (entry_kind in ('text', 'file'));
-- What runs a file of a pack, if that is not `command`: a shell takes a script after `-c`, and a file without it.
alter table runtime add column file_command text[] not null default '{}';

-- The content of the pack that an execution runs in each of its attempts.
alter table execution add column pack_hash text;
