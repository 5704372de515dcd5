import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { ConfirmDanger, Dialog } from "../../kit/dialog";
import { Page } from "../../kit/page";
import { fieldErrors } from "../../kit/problems";
import { Empty, Loaded, ProblemView } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import type { Role } from "../../lib/schema";
import { useSession } from "../../lib/session";
import { useOpen } from "../definitions/actions";
import { Form, FormErrors, InstantField, TextField } from "../definitions/form";
import { SettingsTabs } from "../settings/SettingsTabs";
import { type ApiToken, type NewToken, tokens, useTokens } from "./api";
import { RoleSelect } from "./RoleSelect";
import { upTo } from "./words";

export default function TokensPage() {
  const query = useQuery(tokens());
  const dialog = useOpen();
  const action = (
    <Button look="primary" onClick={dialog.show}>
      New token
    </Button>
  );
  return (
    <Page title="API tokens" actions={action}>
      <SettingsTabs here="/access/tokens" />
      <p className="soft">A token signs a program in. An admin sees the tokens of all users.</p>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? <Empty text="No tokens yet." action={action} /> : <TokenTable rows={items} />
        }
      </Loaded>
      {dialog.open && <CreateToken onClose={dialog.hide} />}
    </Page>
  );
}

function TokenTable({ rows }: { rows: ApiToken[] }) {
  const [doomed, setDoomed] = useState<ApiToken | undefined>();
  const { revoke } = useTokens();
  const columns: Column<ApiToken>[] = [
    { id: "label", head: "Label", cell: (row) => <strong>{row.label}</strong>, width: "20%" },
    {
      id: "prefix",
      head: "Begins with",
      cell: (row) => <span className="mono soft">{row.prefix}…</span>,
      width: "130px",
      phone: "off",
    },
    { id: "login", head: "User", cell: (row) => row.login, width: "14%" },
    { id: "role", head: "Role", cell: (row) => row.role, width: "100px" },
    {
      id: "used",
      head: "Last used",
      cell: (row) =>
        row.last_used_at == null ? <span className="soft">never</span> : <Time at={row.last_used_at} show="relative" />,
      width: "140px",
    },
    {
      id: "expires",
      head: "Valid until",
      cell: (row) =>
        row.revoked_at != null ? (
          <span className="tone-quiet">revoked</span>
        ) : row.expires_at == null ? (
          "no end"
        ) : (
          <Time at={row.expires_at} />
        ),
      phone: "off",
    },
    {
      id: "revoke",
      head: <span className="hidden-text">Revoke</span>,
      cell: (row) =>
        row.revoked_at == null && (
          <Button
            small
            look="danger"
            onClick={(event) => {
              event.stopPropagation();
              setDoomed(row);
            }}
          >
            Revoke
          </Button>
        ),
      width: "100px",
      align: "right",
    },
  ];
  return (
    <>
      <Table name="Tokens" columns={columns} rows={rows} rowKey={(row) => String(row.id)} onOpen={() => undefined} />
      <ConfirmDanger
        open={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title={`Revoke the token ${doomed?.label ?? ""}?`}
        verb="Revoke"
        pending={revoke.isPending}
        onConfirm={() =>
          doomed &&
          revoke.mutate(doomed.id, {
            onSuccess: () => {
              toast(`${doomed.label} was revoked.`, { tone: "ok" });
              setDoomed(undefined);
            },
          })
        }
      >
        Programs that use it get 401 within 5 s. Tokens that were created with it end too.
        {revoke.error && <ProblemView error={revoke.error} />}
      </ConfirmDanger>
    </>
  );
}

function CreateToken({ onClose }: { onClose: () => void }) {
  const { user } = useSession();
  const [label, setLabel] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [until, setUntil] = useState("");
  const { create } = useTokens();
  const { at, rest } = fieldErrors(create.error, ["label", "role", "expires_at"]);
  if (create.data) return <ShowToken token={create.data.data} onClose={onClose} />;
  return (
    <Dialog open onClose={onClose} title="New token">
      <Form onSave={() => create.mutate({ label, role, ...(until ? { expires_at: until } : {}) })} error={create.error}>
        <FormErrors errors={rest} />
        <TextField
          label="Label"
          value={label}
          onChange={setLabel}
          error={at.label}
          hint="What will use it, such as ci."
        />
        <RoleSelect value={role} roles={upTo(user.role)} onChange={setRole} error={at.role} />
        <InstantField
          label="Valid until"
          value={until}
          onChange={setUntil}
          error={at.expires_at}
          hint="Empty: no end."
        />
        <div className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" pending={create.isPending}>
            Create token
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}

/** Shown once; closes only after the user says that it is stored. */
function ShowToken({ token, onClose }: { token: NewToken; onClose: () => void }) {
  const [stored, setStored] = useState(false);
  return (
    <Dialog open onClose={onClose} title="The new token" sticky>
      <p>It is not shown again.</p>
      <p className="secret mono">{token.token}</p>
      <span>
        <Button onClick={() => copyText(token.token, "The token")}>Copy</Button>
      </span>
      <label className="row">
        <input type="checkbox" checked={stored} onChange={(event) => setStored(event.target.checked)} /> I have stored
        it
      </label>
      <div className="dialog-foot">
        <Button look="primary" disabled={!stored} onClick={onClose}>
          Close
        </Button>
      </div>
    </Dialog>
  );
}
