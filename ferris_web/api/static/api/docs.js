"use strict";
// Shows the schema, and sends what is tried from the page as the person who looks at it: by session and CSRF token.
const page = document.getElementById("docs");
const csrf = () => (document.cookie.match(/(?:^|; )ferris_csrf=([^;]+)/) || [])[1];
window.ui = SwaggerUIBundle({
  url: page.dataset.schema,
  domNode: page,
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (new URL(request.url, location).origin === location.origin && !["GET", "HEAD"].includes(request.method || "GET") && csrf()) {
      request.headers["X-CSRFToken"] = csrf();
    }
    return request;
  },
});
