import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { Switch } from "../../kit/form";
import { Page } from "../../kit/page";
import { fieldErrors } from "../../kit/problems";
import { Loaded, ProblemView } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { asProblem, ProblemError } from "../../lib/http/problem";
import type { Identity, Role } from "../../lib/schema";
import { useMay, useSession } from "../../lib/session";
import { useOpen } from "../definitions/actions";
import { Form, FormErrors, TextField } from "../definitions/form";
import { SettingsTabs } from "../settings/SettingsTabs";
import { identities, useIdentities } from "./api";
import { RoleSelect } from "./RoleSelect";
import { ROLE_WORDS, ROLES } from "./words";

export default function UsersPage() {
  const { may, why } = useMay("admin");
  const dialog = useOpen();
  return (
    <Page
      title="Users"
      actions={
        may && (
          <Button look="primary" onClick={dialog.show}>
            New user
          </Button>
        )
      }
    >
      <SettingsTabs here="/access/users" />
      {may ? (
        <Users />
      ) : (
        <ProblemView
          error={
            new ProblemError({
              type: "urn:attune:problem:forbidden",
              title: "Forbidden",
              status: 403,
              detail: why ?? "",
              errors: [],
            })
          }
        />
      )}
      {dialog.open && <NewUser onClose={dialog.hide} />}
    </Page>
  );
}

function Users() {
  const query = useQuery(identities());
  return (
    <>
      <Loaded query={query}>{({ items }) => <UserTable rows={items} />}</Loaded>
      <section className="card pad col">
        <h2>What each role can do</h2>
        <dl className="facts">
          {ROLES.map((role) => (
            <div key={role} style={{ display: "contents" }}>
              <dt>{role}</dt>
              <dd>{ROLE_WORDS[role]}</dd>
            </div>
          ))}
        </dl>
      </section>
    </>
  );
}

function UserTable({ rows }: { rows: Identity[] }) {
  const { user } = useSession();
  const { change } = useIdentities();
  const [edited, setEdited] = useState<Identity | undefined>();
  const set = (row: Identity, enabled: boolean, undoable = true) =>
    change.mutate(
      { id: row.id, enabled },
      {
        onSuccess: () =>
          toast(
            enabled
              ? `${row.login} can sign in again.`
              : `${row.login} is disabled. Sessions and tokens end within 5 s.`,
            {
              tone: "ok",
              undo: undoable ? () => set(row, !enabled, false) : undefined,
            },
          ),
        onError: (error) => toast(`${row.login} was not changed: ${asProblem(error).problem.detail}`, { tone: "bad" }),
      },
    );
  const columns: Column<Identity>[] = [
    { id: "login", head: "Login", cell: (row) => <strong>{row.login}</strong>, width: "22%" },
    { id: "name", head: "Name", cell: (row) => row.display_name !== row.login && row.display_name },
    { id: "role", head: "Role", cell: (row) => row.role, width: "120px" },
    { id: "since", head: "Created", cell: (row) => <Time at={row.created_at} />, width: "190px", phone: "off" },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (row) => (
        <Switch
          on={row.enabled}
          name={`Enabled: ${row.login}`}
          onChange={(on) => set(row, on)}
          why={row.id === user.id ? "You cannot disable yourself." : undefined}
        />
      ),
      width: "72px",
      align: "right",
    },
  ];
  return (
    <>
      <Table name="Users" columns={columns} rows={rows} rowKey={(row) => String(row.id)} onOpen={setEdited} />
      {edited && <EditUser key={edited.id} user={edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}

function EditUser({ user, onClose }: { user: Identity; onClose: () => void }) {
  const [role, setRole] = useState<Role>(user.role);
  const [name, setName] = useState(user.display_name);
  const { change } = useIdentities();
  const { at, rest } = fieldErrors(change.error, ["display_name", "role"]);
  const save = () =>
    change.mutate(
      { id: user.id, role, display_name: name },
      {
        onSuccess: () => {
          toast(`${user.login} was saved.`, { tone: "ok" });
          onClose();
        },
      },
    );
  return (
    <Dialog open onClose={onClose} title={user.login}>
      <Form onSave={save} error={change.error}>
        <FormErrors errors={rest} />
        <TextField label="Name" value={name} onChange={setName} error={at.display_name} />
        <RoleSelect value={role} roles={ROLES} onChange={setRole} error={at.role} />
        <div className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" pending={change.isPending}>
            Save
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}

function NewUser({ onClose }: { onClose: () => void }) {
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const { create } = useIdentities();
  const { at, rest } = fieldErrors(create.error, ["login", "display_name", "password", "role"]);
  const save = () =>
    create.mutate(
      { login, password, role, ...(name ? { display_name: name } : {}) },
      {
        onSuccess: () => {
          toast(`${login} was created.`, { tone: "ok" });
          onClose();
        },
      },
    );
  return (
    <Dialog open onClose={onClose} title="New user">
      <Form onSave={save} error={create.error}>
        <FormErrors errors={rest} />
        <TextField label="Login" value={login} onChange={setLogin} error={at.login} />
        <TextField label="Name" value={name} onChange={setName} error={at.display_name} />
        <TextField
          label="Password"
          type="password"
          value={password}
          onChange={setPassword}
          error={at.password}
          hint="Tell it to the user, who should change it under Settings."
        />
        <RoleSelect value={role} roles={ROLES} onChange={setRole} error={at.role} />
        <div className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" pending={create.isPending}>
            Create user
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}
