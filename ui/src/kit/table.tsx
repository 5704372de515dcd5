import { useNavigate } from "@tanstack/react-router";
import { clsx } from "clsx";
import { type ReactNode, useRef } from "react";
import { useKeys } from "../lib/keys";

export interface Column<T> {
  id: string;
  head: ReactNode;
  cell: (row: T) => ReactNode;
  /** A CSS width; the columns without one share the rest. */
  width?: string;
  align?: "right";
  /** On a phone: left out, or on a line of its own. */
  phone?: "off" | "last";
}

interface TableProps<T> {
  /** What the rows are, for screen readers. */
  name: string;
  columns: Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  /** The page of a row. */
  to?: (row: T) => string;
  onOpen?: (row: T) => void;
  /** The first load is done and newer data is on its way. */
  busy?: boolean;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  active?: string | undefined;
  /** More keys for the focused row. */
  rowKeys?: { keys: string; text: string; run: (row: T) => void }[];
}

export function Table<T>(props: TableProps<T>) {
  const { name, columns, rows, rowKey, to, onOpen, busy, selected, onSelect, active, rowKeys = [] } = props;
  const navigate = useNavigate();
  const body = useRef<HTMLTableSectionElement>(null);
  const anchor = useRef<string | undefined>(undefined);

  const elements = () => [...(body.current?.rows ?? [])];
  const focused = () => elements().indexOf(document.activeElement?.closest("tr") as HTMLTableRowElement);
  const move = (step: number) => {
    const all = elements();
    const next = all[Math.min(all.length - 1, Math.max(0, focused() + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const open = (row: T) => {
    if (onOpen) onOpen(row);
    else if (to) void navigate({ to: to(row) });
  };
  const toggle = (row: T, range: boolean) => {
    if (!selected || !onSelect) return;
    const key = rowKey(row);
    const next = new Set(selected);
    const keys = rows.map(rowKey);
    if (range && anchor.current && keys.includes(anchor.current)) {
      const [from, until] = [keys.indexOf(anchor.current), keys.indexOf(key)].sort((a, b) => a - b) as [number, number];
      for (const each of keys.slice(from, until + 1)) next.add(each);
    } else if (!next.delete(key)) next.add(key);
    anchor.current = key;
    onSelect(next);
  };
  const onFocused = (run: (row: T) => void) => () => {
    const row = rows[focused()];
    if (row !== undefined) run(row);
  };

  useKeys(name, [
    { keys: "j", text: "Next row", run: () => move(1) },
    { keys: "k", text: "Previous row", run: () => move(-1) },
    { keys: "Enter", text: "Open the row", run: onFocused(open) },
    ...(to
      ? [
          {
            keys: "o",
            text: "Open the row in a new tab",
            run: onFocused((row) => window.open(to(row), "_blank", "noopener")),
          },
        ]
      : []),
    ...(onSelect
      ? [
          { keys: "x", text: "Select the row", run: onFocused((row) => toggle(row, false)) },
          { keys: "shift+x", text: "Select up to this row", run: onFocused((row) => toggle(row, true)) },
        ]
      : []),
    ...rowKeys.map(({ keys, text, run }) => ({ keys, text, run: onFocused(run) })),
  ]);

  return (
    <div className="table-wrap">
      {busy && <div className="busy-line" />}
      <table className="table" aria-label={name} aria-busy={busy}>
        <colgroup>
          {onSelect && <col style={{ width: "36px" }} />}
          {columns.map((column) => (
            <col key={column.id} style={column.width ? { width: column.width } : undefined} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {onSelect && (
              <th className="check" scope="col">
                <input
                  type="checkbox"
                  aria-label="Select all rows"
                  checked={rows.length > 0 && rows.every((row) => selected?.has(rowKey(row)))}
                  onChange={(event) => onSelect(new Set(event.target.checked ? rows.map(rowKey) : []))}
                />
              </th>
            )}
            {columns.map((column) => (
              <th key={column.id} scope="col" className={column.align}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row, index) => (
            <tr
              key={rowKey(row)}
              tabIndex={index === 0 ? 0 : -1}
              data-active={selected?.has(rowKey(row)) || active === rowKey(row)}
              onClick={(event) => {
                if (window.getSelection()?.toString() || event.defaultPrevented) return;
                if (to && (event.ctrlKey || event.metaKey)) window.open(to(row), "_blank", "noopener");
                else open(row);
              }}
            >
              {onSelect && (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the key x selects the row.
                <td className="check" onClick={(event) => event.stopPropagation()}>
                  <input
                    type="checkbox"
                    aria-label="Select this row"
                    checked={selected?.has(rowKey(row)) ?? false}
                    onClick={(event) => toggle(row, event.shiftKey)}
                    onChange={() => undefined}
                  />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.id} className={clsx(column.align, column.phone && `phone-${column.phone}`)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
