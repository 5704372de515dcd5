import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { router } from "./app/router";
import { takeSignInKey } from "./features/session/key";
import { queryClient } from "./lib/http/query";
import { applyPreferences } from "./lib/preferences";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/kit.css";
import "./styles/definitions.css";

// Menus and dialogs add one style element each; the policy of the page demands its nonce.
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce;
if (nonce) setNonce(nonce);

applyPreferences();
takeSignInKey();

const container = document.getElementById("root");
if (container) {
  createRoot(container).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
