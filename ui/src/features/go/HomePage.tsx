import { Navigate } from "@tanstack/react-router";

/** `/login` for a user who is signed in. */
export default function HomePage() {
  return <Navigate to="/" replace />;
}
