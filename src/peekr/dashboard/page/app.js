document.getElementById('app').textContent = JSON.parse(document.getElementById('core').textContent).file;
