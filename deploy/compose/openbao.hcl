# The demo's OpenBao: in memory, unseals and provisions itself at every start. There is no root token afterwards.
storage "inmem" {}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true # inside a network of docker-compose.yml that leads nowhere else
}

api_addr = "http://openbao:8200"

seal "static" {
  current_key_id = "demo"
  current_key    = "file:///unseal/key"
}

initialize "demo" {
  request "kv" {
    operation = "update"
    path      = "sys/mounts/secret"
    data      = { type = "kv", options = { version = "2" } }
  }
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/mcp-authz"
    data = {
      policy = <<-POLICY
        path "secret/data/+/+" { capabilities = ["read"] }
        path "auth/token/lookup-self" { capabilities = ["read"] }
        path "auth/token/renew-self" { capabilities = ["update"] }
        path "auth/token/revoke-self" { capabilities = ["update"] }
      POLICY
    }
  }
  request "approle" {
    operation = "update"
    path      = "sys/auth/approle"
    data      = { type = "approle" }
  }
  request "role" {
    operation = "update"
    path      = "auth/approle/role/mcp-authz"
    data      = { token_policies = ["mcp-authz"], token_no_default_policy = true, token_ttl = "1h", token_max_ttl = "24h" }
  }
  request "role-id" {
    operation = "update"
    path      = "auth/approle/role/mcp-authz/role-id"
    data      = { role_id = { eval_type = "string", eval_source = "file", path = "/secrets/vault-role-id" } }
  }
  request "secret-id" {
    operation = "update"
    path      = "auth/approle/role/mcp-authz/custom-secret-id"
    data      = { secret_id = { eval_type = "string", eval_source = "file", path = "/secrets/vault-secret-id" } }
  }
  # Credentials of people, at {subject}/{server}.
  request "alice" {
    operation = "update"
    path      = "secret/data/alice/demo"
    data      = { data = { token = "pat-of-alice-for-demo" } }
  }
}
