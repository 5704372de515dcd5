import { Link } from "@tanstack/react-router";
import { clsx } from "clsx";
import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";

type Look = "normal" | "primary" | "danger" | "plain";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look | undefined;
  small?: boolean | undefined;
  /** Waiting for the server: keeps its width, takes no clicks. */
  pending?: boolean | undefined;
  /** Why it is disabled: shown as its title and read out. Disables it. */
  why?: string | undefined;
  ref?: Ref<HTMLButtonElement> | undefined;
}

export function Button({ look = "normal", small, pending, why, className, disabled, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={clsx("btn", look !== "normal" && look, small && "small", className)}
      disabled={disabled || pending || why !== undefined}
      aria-busy={pending || undefined}
      title={why ?? rest.title}
    >
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children" | "aria-label"> {
  /** What it does; also its tooltip. */
  name: string;
  icon: ReactNode;
}

export function IconButton({ name, icon, look = "plain", className, ...rest }: IconButtonProps) {
  return (
    <Button look={look} className={clsx("icon", className)} aria-label={name} title={name} {...rest}>
      {icon}
    </Button>
  );
}

interface LinkButtonProps {
  to: string;
  look?: Look;
  small?: boolean;
  children: ReactNode;
}

export function LinkButton({ to, look = "normal", small, children }: LinkButtonProps) {
  return (
    <Link to={to} className={clsx("btn", look !== "normal" && look, small && "small")}>
      {children}
    </Link>
  );
}
