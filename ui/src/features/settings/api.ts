import { put } from "../../lib/http/client";

export const changePassword = (current_password: string, new_password: string) =>
  put("/auth/password", { current_password, new_password });
