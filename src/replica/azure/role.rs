//! The smallest role of Azure under which a container can be used: the built-in one, and one of its own.
//!
//! Names of actions: <https://learn.microsoft.com/en-us/azure/role-based-access-control/permissions/storage>.

use serde::Serialize;

use super::AzureAddress;
use super::ops::{CONTRIBUTOR, READER};
use crate::replica::checkup::Usage;

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The built-in role that allows it, and more.
    pub built_in: &'static str,
    /// Where it is assigned; words in capitals are to be filled in.
    pub scope: String,
    /// A definition that allows nothing else, as JSON.
    pub definition: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    name: String,
    is_custom: bool,
    description: String,
    actions: [&'static str; 0],
    not_actions: [&'static str; 0],
    data_actions: Vec<String>,
    not_data_actions: [&'static str; 0],
    assignable_scopes: [&'a str; 1],
}

impl AzureAddress {
    /// The role that an identity needs to use this place.
    pub fn role(&self, usage: Usage) -> Role {
        let (built_in, what, actions): (_, _, &[&str]) = match usage {
            Usage::Read => (READER, "read", &["read"]),
            // What is our own is deleted in any case, and a role knows no prefix.
            Usage::Add | Usage::Delete => {
                (CONTRIBUTOR, "sync", &["read", "write", "add/action", "delete", "tags/read", "tags/write"])
            }
        };
        let group = "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP";
        let (account, container) = (&self.account, &self.container);
        let blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs";
        let definition = Definition {
            name: format!("mediasync {what} {account} {container}"),
            is_custom: true,
            description: format!("What mediasync needs to {what} the container {container} of {account}"),
            actions: [],
            not_actions: [],
            data_actions: actions.iter().map(|action| format!("{blobs}/{action}")).collect(),
            not_data_actions: [],
            assignable_scopes: [group],
        };
        Role {
            built_in,
            scope: format!(
                "{group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers/{container}"
            ),
            definition: serde_json::to_string_pretty(&definition).expect("a role is plain data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::azure::{Credentials, Identity};

    #[test]
    fn a_role_is_about_the_container_and_what_is_done_there() {
        let address = AzureAddress {
            account: "acct".to_owned(),
            container: "media".to_owned(),
            prefix: String::new(),
            endpoint: None,
            credentials: Credentials::Identity(Identity::Workload),
            renewal: None,
            public_url: None,
        };
        let (read, delete) = (address.role(Usage::Read), address.role(Usage::Delete));
        assert_eq!((read.built_in, delete.built_in), (READER, CONTRIBUTOR));
        assert!(read.scope.ends_with("/storageAccounts/acct/blobServices/default/containers/media"));
        assert!(!read.definition.contains("blobs/delete") && delete.definition.contains("blobs/delete"));
        let json: serde_json::Value = serde_json::from_str(&delete.definition).unwrap();
        assert_eq!((&json["IsCustom"], json["DataActions"].as_array().unwrap().len()), (&true.into(), 6));
    }
}
